import { Code, type ConnectError } from '@connectrpc/connect';
import { afterEach, describe, expect, test } from 'vitest';
import { GoingAwayReason } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import type { StreamPosition } from '../../../gen/carepro/chat/v1/types_pb.ts';
import { ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { type Harness, type HarnessOptions, startHarness, TRANSPORTS, until } from './harness.ts';
import { StreamClient } from './stream-client.ts';

let harness: Harness;

async function start(options?: HarnessOptions): Promise<void> {
  harness = await startHarness(options);
}

afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

const reasonOf = (error: ConnectError): string | undefined => error.findDetails(ErrorInfoSchema)[0]?.reason;

async function nothingLeft(): Promise<void> {
  await until(() => harness.registry.count === 0 && harness.door.streamCount === 0, 'the stream is forgotten');
  const open = new Map<string, number>();
  for (const call of harness.presenceCalls) {
    open.set(call.connectionId, (open.get(call.connectionId) ?? 0) + (call.type === 'connected' ? 1 : -1));
  }
  expect([...open.values()].every((count) => count === 0)).toBe(true);
  expect(harness.log.errors).toEqual([]);
}

describe('StreamEvents', () => {
  test.each(['gRPC over HTTP/2', 'gRPC-Web over HTTP/2', 'Connect over HTTP/2', 'Connect with binary messages'])(
    'opens at once, delivers events in order and answers frames, over %s',
    async (name) => {
      await start();
      const transport = TRANSPORTS[name];
      const bob = await StreamClient.open(harness.client('bob', transport));
      expect(bob.ready.connectionId).toMatch(/^[0-9a-f-]{36}$/);
      expect(bob.ready.recovered).toBe(false);
      expect(bob.ready.position?.epoch).not.toBe('');
      expect(bob.ready.heartbeatInterval).toMatchObject({ seconds: 15n });
      const alice = await StreamClient.open(harness.client('alice', transport));
      for (let n = 1; n <= 20; n += 1) {
        alice.stream.send(
          { case: 'send', value: { receiverId: 'bob', text: `m${n}`, clientMessageId: `c${n}` } },
          `r${n}`,
        );
      }
      const results: string[] = [];
      const own: string[] = [];
      while (results.length < 20 || own.length < 20) {
        const frame = await alice.stream.next();
        if (frame.case === 'result') results.push(frame.value.requestId);
        if (frame.case === 'event' && frame.value.event.case === 'messageSent') {
          own.push(frame.value.event.value.clientMessageId);
        }
      }
      expect(results).toEqual(Array.from({ length: 20 }, (_, n) => `r${n + 1}`));
      expect(own).toEqual(Array.from({ length: 20 }, (_, n) => `c${n + 1}`));
      for (let n = 1; n <= 20; n += 1) {
        const { event, position, replayed } = await bob.stream.event('messageSent');
        if (event.case !== 'messageSent') throw new Error('unreachable');
        expect(event.value.message).toMatchObject({ text: `m${n}`, seq: n, senderId: 'alice', receiverId: 'bob' });
        expect(event.value.clientMessageId).toBe('');
        expect(position?.offset).toBe(BigInt(n));
        expect(replayed).toBe(false);
      }
      bob.stream.send({ case: 'read', value: { upTo: { case: 'otherUserId', value: 'alice' } } }, 'read');
      const advanced = await alice.stream.event('statusAdvanced');
      expect(advanced.event).toMatchObject({ value: { readerId: 'bob', upToSeq: 20 } });
      await alice.stream.event('conversationRead');
      bob.stream.cancel();
      alice.stream.cancel();
      await nothingLeft();
    },
  );

  test('answers each kind of frame once, in order, and a frame without id only if it fails', async () => {
    await start();
    const { stream } = await StreamClient.open(harness.client('bob'));
    const sent = await harness.client('alice').sendMessage({ receiverId: 'bob', text: 'hi' });
    const messageId = sent.message?.id ?? '';
    await stream.event('messageSent');
    stream.send({ case: 'ping', value: {} }, 'ping');
    stream.send({ case: 'delivered', value: { upTo: { case: 'messageId', value: messageId } } }, 'delivered');
    expect(await stream.take('result')).toMatchObject({ requestId: 'ping', outcome: { case: 'ok' } });
    const frames = [await stream.next(), await stream.next()];
    const result = frames.find((frame) => frame.case === 'result');
    expect(result?.value).toMatchObject({
      requestId: 'delivered',
      outcome: { case: 'ok', value: { response: { case: 'delivered', value: { upToSeq: 1, moved: true } } } },
    });
    stream.send({ case: 'ping', value: {} });
    stream.send({ case: 'open', value: {} }, 'again');
    stream.send(undefined, 'nothing');
    stream.send({ case: 'delivered', value: { upTo: { case: 'messageId', value: 'unknown' } } });
    stream.send({ case: 'ping', value: {} }, 'x'.repeat(129));
    stream.send({ case: 'send', value: { receiverId: 'bob', text: 'to myself' } }, 'self');
    const failures: [string, string, number][] = [];
    for (let n = 0; n < 5; n += 1) {
      const { requestId, outcome } = await stream.take('result');
      if (outcome.case !== 'error') throw new Error('Expected an error');
      const [info] = outcome.value.details;
      expect(info?.typeUrl).toBe('type.googleapis.com/google.rpc.ErrorInfo');
      failures.push([requestId, outcome.value.message, outcome.value.code]);
    }
    expect(failures.map(([requestId]) => requestId)).toEqual(['again', 'nothing', '', 'x'.repeat(128), 'self']);
    expect(failures.map(([, , code]) => Code[code])).toEqual([
      'FailedPrecondition',
      'InvalidArgument',
      'NotFound',
      'InvalidArgument',
      'InvalidArgument',
    ]);
    stream.cancel();
    await nothingLeft();
  });

  test('sends typing to the other person and keeps frames in order behind a slow one', async () => {
    await start();
    const bob = await StreamClient.open(harness.client('bob'));
    const alice = await StreamClient.open(harness.client('alice'));
    alice.stream.send({ case: 'typing', value: { receiverId: 'bob', active: true } }, 't');
    expect(await alice.stream.take('result')).toMatchObject({ requestId: 't', outcome: { case: 'ok' } });
    expect((await bob.stream.event('typing')).event).toMatchObject({ value: { fromUserId: 'alice', active: true } });
    const order: string[] = [];
    for (let n = 0; n < 200; n += 1) {
      if (n % 5 === 0)
        alice.stream.send({ case: 'delivered', value: { upTo: { case: 'messageId', value: 'x' } } }, `${n}`);
      else alice.stream.send({ case: 'send', value: { receiverId: 'bob', text: `${n}` } }, `${n}`);
    }
    while (order.length < 200) {
      const frame = await alice.stream.next();
      if (frame.case === 'result') order.push(frame.value.requestId);
    }
    expect(order).toEqual(Array.from({ length: 200 }, (_, n) => `${n}`));
    alice.stream.cancel();
    bob.stream.cancel();
    await nothingLeft();
  });

  test('goes on receiving after the client has stopped sending', async () => {
    await start();
    const { stream } = await StreamClient.open(harness.client('bob'));
    stream.end();
    await harness.client('alice').sendMessage({ receiverId: 'bob', text: 'still there?' });
    expect(await stream.text()).toBe('still there?');
    stream.cancel();
    await nothingLeft();
  });

  test('must be opened first, and in time', async () => {
    const clock = new FakeClock();
    await start({ clock });
    const wrong = new StreamClient(harness.client('bob'));
    wrong.send({ case: 'ping', value: {} }, 'p');
    const error = await wrong.failure();
    expect([Code[error.code], reasonOf(error)]).toEqual(['FailedPrecondition', 'STREAM_NOT_OPEN']);
    const none = new StreamClient(harness.client('bob'));
    none.end();
    expect(reasonOf(await none.failure())).toBe('STREAM_NOT_OPEN');

    const silent = new StreamClient(harness.client('bob'));
    const pending = clock.pending;
    const ended = silent.failure();
    await until(() => clock.pending > pending, 'the stream has begun');
    await clock.advance(10_000);
    const late = await ended;
    expect([Code[late.code], reasonOf(late)]).toEqual(['DeadlineExceeded', 'STREAM_NOT_OPEN']);
    await nothingLeft();
  });

  test('resumes after a position without loss or repetition', async () => {
    await start();
    const alice = harness.client('alice');
    const first = await StreamClient.open(harness.client('bob'));
    await alice.sendMessage({ receiverId: 'bob', text: 'one' });
    const { position } = await first.stream.event('messageSent');
    first.stream.cancel();
    await until(() => harness.registry.count === 0, 'the stream is closed');
    await alice.sendMessage({ receiverId: 'bob', text: 'two' });
    await alice.sendMessage({ receiverId: 'bob', text: 'three' });
    const again = await StreamClient.open(harness.client('bob'), { position: position as StreamPosition });
    expect(again.ready).toMatchObject({ recovered: true, position: { offset: 1n } });
    const two = await again.stream.event('messageSent');
    expect(two).toMatchObject({ replayed: true, position: { offset: 2n } });
    expect(await again.stream.text()).toBe('three');
    await alice.sendMessage({ receiverId: 'bob', text: 'four' });
    expect(await again.stream.text()).toBe('four');
    again.stream.cancel();
    await nothingLeft();
  });

  test('brings a client up to date from the store if its position proves nothing', async () => {
    await start();
    const alice = harness.client('alice');
    for (let n = 0; n < 250; n += 1) await alice.sendMessage({ receiverId: 'bob', text: `m${n}` });
    const { stream, ready } = await StreamClient.open(harness.client('bob'), {
      position: { epoch: 'of another time', offset: 7n },
    });
    expect(ready).toMatchObject({ recovered: false, position: { epoch: '' } });
    for (let n = 0; n < 250; n += 1) {
      const event = await stream.event('messageSent');
      expect(event.position).toBeUndefined();
      expect(event.replayed).toBe(true);
      expect(event.event).toMatchObject({ value: { message: { text: `m${n}` } } });
    }
    const heartbeat = await stream.take('heartbeat');
    expect(heartbeat.position?.offset).toBe(250n);
    await alice.sendMessage({ receiverId: 'bob', text: 'live' });
    expect(await stream.event('messageSent')).toMatchObject({ replayed: false, position: { offset: 251n } });
    stream.cancel();
    await nothingLeft();
  });

  test('replays pages of the largest messages without taking the client for slow', async () => {
    await start({ limits: { sendBurst: 5000 } });
    const text = '語'.repeat(5000);
    const alice = harness.client('alice');
    await Promise.all(Array.from({ length: 250 }, () => alice.sendMessage({ receiverId: 'bob', text })));
    const { stream } = await StreamClient.open(harness.client('bob'));
    for (let n = 0; n < 250; n += 1) expect((await stream.text())?.length).toBe(5000);
    await stream.take('heartbeat');
    stream.cancel();
    await nothingLeft();
  });

  test('refuses a position that the server cannot have given', async () => {
    await start();
    const stream = new StreamClient(harness.client('bob'));
    stream.send({ case: 'open', value: { position: { epoch: 'e', offset: 2n ** 60n } } });
    expect(Code[(await stream.failure()).code]).toBe('InvalidArgument');
    await nothingLeft();
  });

  test('sends a heartbeat when nothing else was sent for the interval', async () => {
    const clock = new FakeClock();
    await start({ clock });
    const { stream } = await StreamClient.open(harness.client('bob'));
    await clock.advance(10_000);
    stream.send({ case: 'ping', value: {} }, 'p');
    await stream.take('result');
    await clock.advance(14_999);
    stream.send({ case: 'ping', value: {} }, 'q');
    await stream.take('result');
    await clock.advance(15_000);
    expect((await stream.take('heartbeat')).position).toBeUndefined();
    await clock.advance(15_000);
    await stream.take('heartbeat');
    stream.cancel();
    await nothingLeft();
  });

  test('belongs to the caller, or to anybody for a service', async () => {
    await start();
    const stranger = new StreamClient(harness.client('mallory:Admin'));
    stranger.send({ case: 'open', value: { userId: 'bob' } });
    expect(Code[(await stranger.failure()).code]).toBe('PermissionDenied');
    const service = await StreamClient.open(harness.client('backend:Service'), { userId: 'bob' });
    await harness.client('alice').sendMessage({ receiverId: 'bob', text: 'hi bob' });
    expect(await service.stream.text()).toBe('hi bob');
    expect(harness.presenceCalls).toEqual([]);
    service.stream.cancel();
    await nothingLeft();
  });

  test('is limited in number for each user', async () => {
    await start({ streamsPerUser: 2 });
    const one = await StreamClient.open(harness.client('bob'));
    const two = await StreamClient.open(harness.client('bob'));
    const three = new StreamClient(harness.client('bob'));
    three.send({ case: 'open', value: {} });
    const error = await three.failure();
    expect([Code[error.code], reasonOf(error)]).toEqual(['ResourceExhausted', 'TOO_MANY_CONNECTIONS']);
    one.stream.cancel();
    await until(() => harness.registry.count === 1, 'the first is gone');
    const four = await StreamClient.open(harness.client('bob'));
    two.stream.cancel();
    four.stream.cancel();
    await nothingLeft();
  });

  test('keeps the deadline that a client names', async () => {
    await start();
    const stream = new StreamClient(harness.client('bob'), { timeoutMs: 200 });
    stream.send({ case: 'open', value: {} });
    await stream.take('ready');
    expect(Code[(await stream.failure()).code]).toBe('DeadlineExceeded');
    await nothingLeft();
  });
});

/** Takes changes of presence until this one; an earlier state may be announced once more. */
async function told(stream: StreamClient, userId: string, online: boolean): Promise<void> {
  for (;;) {
    const { event } = await stream.event('presenceChanged');
    if (event.case !== 'presenceChanged') continue;
    if (event.value.changes.some((change) => change.userId === userId && change.online === online)) return;
  }
}

describe('Presence on a stream', () => {
  test('is told of the users named, first as it is and then as it changes', async () => {
    await start();
    const alice = await StreamClient.open(harness.client('alice'));
    const bob = await StreamClient.open(harness.client('bob'));
    bob.stream.send({ case: 'watchPresence', value: { userIds: ['alice', 'carol'] } }, 'w');
    expect(await bob.stream.result()).toMatchObject({ requestId: 'w', outcome: { case: 'ok' } });
    const current = await bob.stream.event('presenceChanged');
    expect(current.position).toBeUndefined();
    expect(current.event).toMatchObject({
      value: {
        changes: [
          { userId: 'alice', online: true },
          { userId: 'carol', online: false },
        ],
      },
    });
    alice.stream.cancel();
    await told(bob.stream, 'alice', false);
    const carol = await StreamClient.open(harness.client('carol'));
    await told(bob.stream, 'carol', true);
    bob.stream.send({ case: 'watchPresence', value: {} }, 'nobody');
    await bob.stream.result();
    bob.stream.send(
      { case: 'watchPresence', value: { userIds: Array.from({ length: 1001 }, (_, n) => `u${n}`) } },
      'many',
    );
    expect((await bob.stream.result()).outcome.case).toBe('error');
    bob.stream.send({ case: 'watchPresence', value: { everyone: true } }, 'all');
    await bob.stream.result();
    carol.stream.cancel();
    await told(bob.stream, 'carol', false);
    bob.stream.cancel();
    await nothingLeft();
  });
});

describe('The token of a stream', () => {
  const startMs = Date.UTC(2026, 0, 1);
  const expiring = (user: string, afterMs: number): string => `${user}::${startMs + afterMs}`;

  test('ends it half a minute after it expired, after a farewell', async () => {
    const clock = new FakeClock(startMs);
    await start({ clock });
    const { stream } = await StreamClient.open(harness.client(expiring('bob', 60_000)));
    await clock.advance(89_999);
    await stream.take('heartbeat');
    expect(harness.registry.count).toBe(1);
    await clock.advance(1);
    for (let n = 0; n < 4; n += 1) await stream.take('heartbeat');
    expect(await stream.take('goingAway')).toMatchObject({ reason: GoingAwayReason.TOKEN_EXPIRED });
    const error = await stream.failure();
    expect([Code[error.code], reasonOf(error)]).toEqual(['Unauthenticated', 'TOKEN_EXPIRED']);
    await nothingLeft();
  });

  test('can be refreshed with one of the same user', async () => {
    const clock = new FakeClock(startMs);
    await start({ clock });
    const { stream } = await StreamClient.open(harness.client(expiring('bob', 60_000)));
    stream.send({ case: 'refreshToken', value: { token: expiring('alice', 600_000) } }, 'other');
    stream.send({ case: 'refreshToken', value: { token: 'garbage' } }, 'garbage');
    stream.send({ case: 'refreshToken', value: { token: '' } }, 'empty');
    stream.send({ case: 'refreshToken', value: { token: expiring('bob', 600_000) } }, 'good');
    const outcomes = [];
    for (let n = 0; n < 4; n += 1) outcomes.push((await stream.take('result')).outcome);
    expect(outcomes.map((outcome) => (outcome.case === 'error' ? Code[outcome.value.code] : 'ok'))).toEqual([
      'PermissionDenied',
      'Unauthenticated',
      'Unauthenticated',
      'ok',
    ]);
    expect(outcomes[3]).toMatchObject({
      value: { response: { case: 'tokenRefreshed', value: { lifetime: { seconds: 600n } } } },
    });
    await clock.advance(300_000);
    expect(harness.registry.count).toBe(1);
    await clock.advance(330_000);
    expect(reasonOf(await stream.failure())).toBe('TOKEN_EXPIRED');
    await nothingLeft();
  });

  test('ends it at once when the user is revoked', async () => {
    await start();
    const { stream } = await StreamClient.open(harness.client('bob'));
    harness.registry.endUser('bob', 'revoked');
    expect(await stream.take('goingAway')).toMatchObject({ reason: GoingAwayReason.TOKEN_EXPIRED });
    const error = await stream.failure();
    expect([Code[error.code], reasonOf(error)]).toEqual(['Unauthenticated', 'TOKEN_INVALID']);
    await nothingLeft();
  });
});

describe('Subscribe', () => {
  test.each(Object.keys(TRANSPORTS))(
    'gives the same events to clients that cannot stream upwards, over %s',
    async (name) => {
      await start();
      const alice = await StreamClient.open(harness.client('alice'));
      const controller = new AbortController();
      const frames = harness
        .client('bob', TRANSPORTS[name])
        .subscribe({ watchPresence: { userIds: ['alice'] } }, { signal: controller.signal })
        [Symbol.asyncIterator]();
      const next = async () => {
        const result = await frames.next();
        if (result.done) throw new Error('The stream ended');
        return result.value.frame;
      };
      expect((await next()).case).toBe('ready');
      expect(await next()).toMatchObject({
        case: 'event',
        value: { event: { case: 'presenceChanged', value: { changes: [{ userId: 'alice', online: true }] } } },
      });
      alice.stream.send({ case: 'send', value: { receiverId: 'bob', text: 'hello' } });
      let frame = await next();
      while (frame.case === 'event' && frame.value.event.case === 'presenceChanged') frame = await next();
      expect(frame).toMatchObject({
        case: 'event',
        value: { event: { case: 'messageSent', value: { message: { text: 'hello' } } }, position: { offset: 1n } },
      });
      controller.abort();
      alice.stream.cancel();
      await nothingLeft();
    },
  );
});

describe('Draining', () => {
  test('tells every stream when to come back, then ends it; new ones are refused', async () => {
    await start();
    const streams = await Promise.all(
      Array.from({ length: 20 }, (_, n) => StreamClient.open(harness.client(`user${n}`))),
    );
    const drained = harness.door.drain(2000);
    const waits = new Set<number>();
    for (const { stream } of streams) {
      const { reason, reconnectAfter } = await stream.take('goingAway');
      expect(reason).toBe(GoingAwayReason.SHUTTING_DOWN);
      const ms = Number(reconnectAfter?.seconds) * 1000 + (reconnectAfter?.nanos ?? 0) / 1e6;
      expect(ms).toBeGreaterThanOrEqual(1000);
      expect(ms).toBeLessThanOrEqual(3000);
      waits.add(ms);
      const error = await stream.failure();
      expect([Code[error.code], reasonOf(error)]).toEqual(['Unavailable', 'SHUTTING_DOWN']);
      expect(error.findDetails(RetryInfoSchema)).toHaveLength(1);
    }
    expect(waits.size).toBeGreaterThan(5);
    await drained;
    const late = new StreamClient(harness.client('late'));
    late.send({ case: 'open', value: {} });
    expect(reasonOf(await late.failure())).toBe('SHUTTING_DOWN');
    expect((await harness.client('alice').getUnreadCounts({})).total).toBe(0);
    await nothingLeft();
  });
});
