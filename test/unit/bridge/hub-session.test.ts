import { describe, expect, test } from 'vitest';
import { EventEncoder } from '../../../src/bridge/event-map.ts';
import { COMMIT_MARGIN_MS, type Gap } from '../../../src/bridge/gap.ts';
import { HubSession, type SessionConnection } from '../../../src/bridge/hub-session.ts';
import type { SendOptions } from '../../../src/bridge/signalr/hub/hub.ts';
import type { SharedInvocation } from '../../../src/bridge/signalr/hub/shared-invocation.ts';
import type { CloseContent } from '../../../src/bridge/signalr/protocol/messages.ts';
import type { ChatEvent } from '../../../src/core/events.ts';
import { NOWHERE } from '../../../src/core/session.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const T0 = Date.UTC(2026, 0, 1);
const TOP = { epoch: 'e', offset: 0 };

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

function setUp(gap?: Gap) {
  const clock = new FakeClock(T0);
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
  const onError = (error: unknown): void => void errors.push(error);
  const dependencies = { chat, encoder: new EventEncoder(), clock, onError };
  const session = new HubSession(dependencies, connection, 'bob', gap);
  return {
    clock,
    connection,
    errors,
    fail: (error: Error) => {
      failure = error;
    },
    noted,
    session,
  };
}

function sent(senderId: string, seq: number, receiverId = 'bob', sentAtMs = 0): ChatEvent {
  return {
    type: 'messageSent',
    message: { id: `${senderId}-${seq}`, seq, senderId, receiverId, text: 'x', sentAtMs },
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

describe('what a client may lack', () => {
  const at = (senderId: string, seq: number, sentAtMs: number): ChatEvent => sent(senderId, seq, 'bob', sentAtMs);

  test('is nothing while the connection is open and everything is proven', async () => {
    const { clock, session } = setUp();
    session.ready(TOP);
    await clock.advance(60_000);
    session.event(at('ann', 1, clock.now()), undefined, false);
    session.received(1);
    expect(session.gapWhileOpen()).toBeUndefined();
    // What was on its way when it ended is not proven by anything.
    await clock.advance(100);
    const gap = { sinceMs: clock.now() - COMMIT_MARGIN_MS, except: new Set(['ann-1']) };
    expect(session.gapAtEnd()).toStrictEqual(gap);
    await clock.advance(60_000);
    expect(session.gapAtEnd()).toStrictEqual({ sinceMs: clock.now() - COMMIT_MARGIN_MS, except: new Set() });
  });

  test('begins with the oldest message that is not proven, whatever was acknowledged elsewhere', async () => {
    const { clock, session } = setUp();
    session.ready(TOP);
    const [first, second, third] = [T0 + 5000, T0 + 6000, T0 + 7000];
    session.event(at('ann', 1, first), undefined, false);
    session.event(at('cid', 7, second), undefined, false);
    session.event(at('ann', 2, third), undefined, false);
    session.received(1);
    session.event(readUpTo('ann', 2), undefined, false);
    session.event(readUpTo('cid', 7), undefined, false);
    await clock.advance(30_000);
    expect(session.gapWhileOpen()).toStrictEqual({ sinceMs: second, except: new Set() });
    expect(session.gapAtEnd()).toStrictEqual({ sinceMs: second, except: new Set() });
  });

  test('never reaches back before the connection', async () => {
    const { clock, session } = setUp();
    session.ready(NOWHERE);
    session.event(at('ann', 1, T0 - 86_400_000), undefined, true);
    session.caughtUp();
    await clock.advance(30_000);
    expect(session.gapAtEnd().sinceMs).toBe(T0 - COMMIT_MARGIN_MS);
  });

  test('is all that it was to be replayed until the replay is over', async () => {
    const gap = { sinceMs: T0 - 60_000, except: new Set(['ann-1']) };
    const { clock, connection, session } = setUp(gap);
    expect(session.gapWhileOpen()).toStrictEqual(gap);
    session.ready(NOWHERE);
    session.event(at('ann', 1, T0 - 60_000), undefined, true);
    session.event(at('ann', 2, T0 - 50_000), undefined, true);
    await clock.advance(5000);
    expect(session.gapAtEnd()).toStrictEqual(gap);
    session.caughtUp();
    expect(session.gapAtEnd().sinceMs).toBe(T0 - 50_000);
    // The client is proven to have the first: it is not repeated.
    expect(connection.sent).toHaveLength(1);
    session.received(1);
    expect(session.gapWhileOpen()).toBeUndefined();
  });

  test('does not concern what comes live', () => {
    const { connection, session } = setUp({ sinceMs: T0, except: new Set(['ann-1']) });
    session.event(at('ann', 1, T0), undefined, false);
    expect(connection.sent).toHaveLength(1);
  });
});
