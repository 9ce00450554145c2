import { describe, expect, test } from 'vitest';
import { EventEncoder, invocationsOf, isForUser } from '../../../src/bridge/event-map.ts';
import type { ChatEvent } from '../../../src/core/events.ts';
import type { Message } from '../../../src/core/message.ts';

const atMs = Date.UTC(2026, 0, 1);
const at = '2026-01-01T00:00:00.000Z';
const message: Message = { id: 'm1', seq: 1, senderId: 'ann', receiverId: 'bob', text: 'hi', sentAtMs: atMs };
const advanced = (status: 'delivered' | 'read', messageIds: string[]): ChatEvent => ({
  type: 'statusAdvanced',
  status,
  readerId: 'bob',
  senderId: 'ann',
  upToSeq: 2,
  messageIds,
  atMs,
});
const deleted: ChatEvent = {
  type: 'messageDeleted',
  messageId: 'm1',
  seq: 1,
  senderId: 'ann',
  receiverId: 'bob',
  byUserId: 'ann',
  atMs,
};

function callsOf(event: ChatEvent): unknown[] {
  return invocationsOf(event).map(({ target, args }) => [target, ...args]);
}

describe('core events become the invocations of the contract', () => {
  const cases: [name: string, event: ChatEvent, calls: unknown[], told: string[]][] = [
    ['messageSent', { type: 'messageSent', message }, [['ReceiveMessage', 'ann', 'hi', 'm1', 'sent']], ['bob']],
    [
      'messageRedacted',
      { type: 'messageRedacted', message, warning: 'No numbers' },
      [['MessageRedacted', 'm1', 'hi', 'No numbers']],
      ['ann'],
    ],
    [
      'statusAdvanced to delivered',
      advanced('delivered', ['m1', 'm2']),
      [
        ['MessageStatusChanged', 'm1', 'delivered'],
        ['MessageDelivered', 'm1', at, 'bob', 'ann'],
        ['MessageStatusChanged', 'm2', 'delivered'],
        ['MessageDelivered', 'm2', at, 'bob', 'ann'],
      ],
      ['ann'],
    ],
    [
      'statusAdvanced to read',
      advanced('read', ['m1']),
      [
        ['MessageStatusChanged', 'm1', 'read'],
        ['MessageRead', 'm1', at, 'bob', 'ann'],
      ],
      ['ann'],
    ],
    [
      'conversationRead',
      { type: 'conversationRead', readerId: 'bob', senderId: 'ann', upToSeq: 2, atMs },
      [['AllMessagesRead', 'bob', at]],
      ['ann'],
    ],
    ['messageDeleted', deleted, [['MessageDeleted', 'm1', 'ann', 'bob']], ['ann', 'bob']],
    [
      'presenceChanged',
      {
        type: 'presenceChanged',
        changes: [
          { userId: 'ann', online: true },
          { userId: 'cid', online: false },
        ],
      },
      [
        ['UserStatusChanged', 'ann', 'Online'],
        ['UserStatusChanged', 'cid', 'Offline'],
      ],
      ['ann', 'bob'],
    ],
    ['typing', { type: 'typing', fromUserId: 'ann', toUserId: 'bob', active: true }, [], []],
  ];

  test.each(cases)('%s', (_name, event, calls, told) => {
    expect(callsOf(event)).toStrictEqual(calls);
    expect(['ann', 'bob'].filter((userId) => isForUser(event, userId))).toStrictEqual(told);
  });
});

test('an event is encoded once, however many connections it goes to', () => {
  const encoder = new EventEncoder();
  const first = encoder.encode(deleted);
  expect(encoder.encode(deleted)).toBe(first);
  expect(encoder.encode(advanced('read', ['m1']))).not.toBe(first);
  expect(encoder.encode({ ...deleted })).not.toBe(first);
});
