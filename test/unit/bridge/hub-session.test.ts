import { describe, expect, test } from 'vitest';
import { EventEncoder } from '../../../src/bridge/event-map.ts';
import { HubSession, type SessionConnection } from '../../../src/bridge/hub-session.ts';
import type { SendOptions } from '../../../src/bridge/signalr/hub.ts';
import type { CloseContent } from '../../../src/bridge/signalr/messages.ts';
import type { SharedInvocation } from '../../../src/bridge/signalr/shared-invocation.ts';
import type { ChatEvent } from '../../../src/core/events.ts';

class FakeConnection implements SessionConnection {
  readonly id = 'c1';
  readonly sent: { target: string; options: SendOptions | undefined }[] = [];
  readonly closes: (CloseContent | undefined)[] = [];
  isOpen = true;

  sendShared(invocation: SharedInvocation, options?: SendOptions): number {
    if (!this.isOpen) return 0;
    return this.sent.push({ target: invocation.target, options });
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  close(content?: CloseContent): void {
    this.closes.push(content);
  }
}

function setUp() {
  const connection = new FakeConnection();
  const noted: [otherId: string, seq: number][] = [];
  const errors: unknown[] = [];
  let failure: Error | undefined;
  const chat = {
    noteReceived: (userId: string, otherId: string, seq: number): Promise<void> => {
      expect(userId).toBe('bob');
      noted.push([otherId, seq]);
      return failure === undefined ? Promise.resolve() : Promise.reject(failure);
    },
  };
  const dependencies = { chat, encoder: new EventEncoder(), onError: (error: unknown) => errors.push(error) };
  const session = new HubSession(dependencies, connection, 'bob', 0);
  return {
    connection,
    errors,
    fail: (error: Error) => {
      failure = error;
    },
    noted,
    session,
  };
}

function sent(senderId: string, seq: number, receiverId = 'bob'): ChatEvent {
  return {
    type: 'messageSent',
    message: { id: `${senderId}-${seq}`, seq, senderId, receiverId, text: 'x', sentAtMs: 0 },
  };
}

function readUpTo(senderId: string, upToSeq: number): ChatEvent {
  return { type: 'statusAdvanced', status: 'read', readerId: 'bob', senderId, upToSeq, messageIds: ['m'], atMs: 0 };
}

describe('a hub connection as the sink of a session', () => {
  test('messages ask for proof, and proof moves each conversation once', () => {
    const { connection, noted, session } = setUp();
    session.event(sent('ann', 1), undefined, false);
    session.event(sent('ann', 2), undefined, false);
    session.event(sent('cid', 7), undefined, false);
    expect(connection.sent.map(({ options }) => options?.receipt)).toStrictEqual([true, true, true]);
    session.received(2);
    expect(noted).toStrictEqual([['ann', 2]]);
    session.received(3);
    expect(noted).toStrictEqual([
      ['ann', 2],
      ['cid', 7],
    ]);
  });

  test('what the user acknowledged, here or on another device, needs no proof', () => {
    const { connection, noted, session } = setUp();
    session.event(sent('ann', 1), undefined, false);
    session.event(readUpTo('ann', 1), undefined, false);
    session.received(1);
    expect(noted).toStrictEqual([]);
    // The reader is not told of it.
    expect(connection.sent).toHaveLength(1);
  });

  test('own messages are neither sent nor proven', () => {
    const { connection, noted, session } = setUp();
    session.event(sent('bob', 1, 'ann'), undefined, false);
    session.received(9);
    expect(connection.sent).toStrictEqual([]);
    expect(noted).toStrictEqual([]);
  });

  test('what a closed connection did not take is not evidence of anything', () => {
    const { connection, noted, session } = setUp();
    connection.isOpen = false;
    session.event(sent('ann', 1), undefined, false);
    session.received(9);
    expect(noted).toStrictEqual([]);
  });

  test('replayed messages are paced, live ones are not', () => {
    const { connection, session } = setUp();
    session.event(sent('ann', 1), undefined, true);
    session.event(sent('ann', 2), undefined, false);
    expect(connection.sent.map(({ options }) => options)).toStrictEqual([
      { receipt: true, paced: true },
      { receipt: true },
    ]);
  });

  test('evidence that cannot be stored is reported, nothing more', async () => {
    const { errors, fail, session } = setUp();
    const failure = new Error('store down');
    fail(failure);
    session.event(sent('ann', 1), undefined, false);
    session.received(1);
    await expect.poll(() => errors).toStrictEqual([failure]);
  });

  test.each([
    ['slowConsumer', { allowReconnect: true }],
    ['shuttingDown', { allowReconnect: true }],
    ['tokenExpired', { allowReconnect: true }],
    ['revoked', { error: 'Connection closed with an error. HubException: Authentication required' }],
  ] as const)('the end "%s" is told in a Close record', (reason, content) => {
    const { connection, session } = setUp();
    session.end(reason);
    expect(connection.closes).toStrictEqual([content]);
  });
});
