import { create, equals, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { EventSchema } from '../../../gen/carepro/chat/v1/events_pb.ts';
import { MessageStatus } from '../../../gen/carepro/chat/v1/types_pb.ts';
import type { ChatEvent } from '../../../src/core/events.ts';
import { toDuration, toTimestamp } from '../../../src/rpc/convert.ts';
import { toEventFrame } from '../../../src/rpc/event-frames.ts';

const message = { id: 'm', seq: 3, senderId: 'a', receiverId: 'b', text: 'hi', sentAtMs: 1_700_000_000_123 };
const sentAt = { seconds: 1_700_000_000n, nanos: 123_000_000 };
const at = { seconds: 5n, nanos: 1_000_000 };

const EVENTS: readonly [ChatEvent, object][] = [
  [
    { type: 'messageSent', message, clientMessageId: 'c' },
    {
      case: 'messageSent',
      value: {
        clientMessageId: 'c',
        message: { id: 'm', seq: 3, senderId: 'a', receiverId: 'b', text: 'hi', sentAt, status: MessageStatus.SENT },
      },
    },
  ],
  [
    { type: 'messageRedacted', message, warning: 'w' },
    {
      case: 'messageRedacted',
      value: {
        warning: 'w',
        message: { id: 'm', seq: 3, senderId: 'a', receiverId: 'b', text: 'hi', sentAt, status: MessageStatus.SENT },
      },
    },
  ],
  [
    {
      type: 'statusAdvanced',
      status: 'delivered',
      readerId: 'b',
      senderId: 'a',
      upToSeq: 3,
      messageIds: ['l', 'm'],
      atMs: 5001,
    },
    {
      case: 'statusAdvanced',
      value: {
        status: MessageStatus.DELIVERED,
        readerId: 'b',
        senderId: 'a',
        upToSeq: 3,
        messageIds: ['l', 'm'],
        at,
      },
    },
  ],
  [
    { type: 'conversationRead', readerId: 'b', senderId: 'a', upToSeq: 3, atMs: 5001 },
    { case: 'conversationRead', value: { readerId: 'b', senderId: 'a', upToSeq: 3, at } },
  ],
  [
    { type: 'messageDeleted', messageId: 'm', seq: 3, senderId: 'a', receiverId: 'b', byUserId: 'a', atMs: 5001 },
    {
      case: 'messageDeleted',
      value: { messageId: 'm', seq: 3, senderId: 'a', receiverId: 'b', byUserId: 'a', at },
    },
  ],
  [
    { type: 'presenceChanged', changes: [{ userId: 'a', online: false, lastSeenMs: 5001 }] },
    { case: 'presenceChanged', value: { changes: [{ userId: 'a', online: false, lastSeen: at }] } },
  ],
  [
    { type: 'typing', fromUserId: 'a', toUserId: 'b', active: true },
    { case: 'typing', value: { fromUserId: 'a', active: true } },
  ],
];

describe('An event frame', () => {
  test.each(EVENTS)('holds everything of the event: %j', (event, expected) => {
    const position = { epoch: 'e', offset: 7 };
    const { event: frame, bytes } = toEventFrame(event, position, true);
    const decoded = fromBinary(EventSchema, toBinary(EventSchema, frame));
    const wanted = create(EventSchema, {
      position: { epoch: 'e', offset: 7n },
      replayed: true,
      event: expected as never,
    });
    expect(equals(EventSchema, decoded, wanted)).toBe(true);
    expect(bytes).toBeGreaterThan(100);
  });

  test('is converted once for all streams that get the event, each with its own position', () => {
    const event: ChatEvent = { type: 'messageSent', message };
    const one = toEventFrame(event, { epoch: 'e', offset: 1 }, false).event;
    const two = toEventFrame(event, { epoch: 'f', offset: 9 }, false).event;
    expect(two.event).toBe(one.event);
    expect([one.position?.offset, two.position?.offset]).toEqual([1n, 9n]);
    expect(toEventFrame({ ...event }, undefined, false).event.event).not.toBe(one.event);
    expect(toEventFrame(event, undefined, false).event.position).toBeUndefined();
  });
});

describe('Times', () => {
  test.each([
    [0, 0n, 0],
    [1, 0n, 1_000_000],
    [1999, 1n, 999_000_000],
    [-1, -1n, 999_000_000],
  ])('become timestamps: %d ms', (ms, seconds, nanos) => {
    expect(toTimestamp(ms)).toMatchObject({ seconds, nanos });
  });

  test('become durations', () => {
    expect(toDuration(1500)).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
  });
});
