import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MessageStore } from '../../../src/core/ports.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { type Harness, startHarness, TRANSPORTS, until } from './harness.ts';
import { StreamClient } from './stream-client.ts';

let harness: Harness;
let clock: FakeClock;
let writes = 0;
/** Writes wait for this. */
let gate: Promise<void> | undefined;
let failing: Error | undefined;

beforeEach(async () => {
  clock = new FakeClock();
  writes = 0;
  gate = undefined;
  failing = undefined;
  harness = await startHarness({ clock, wrapStore: behindGate, options: { maxPendingFrames: 8 } });
});
afterEach(async () => {
  await harness[Symbol.asyncDispose]();
});

function behindGate(store: MessageStore): MessageStore {
  return new Proxy(store, {
    get(target, name: keyof MessageStore) {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        if (name === 'write') {
          writes += (args[0] as unknown[]).length;
          await gate;
        }
        if (failing !== undefined) throw failing;
        return method(...args);
      };
    },
  });
}

describe('A stream whose store is slow', () => {
  test('takes only so many frames into work, and the rest when there is room', async () => {
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => {
      open = resolve;
    });
    const { stream } = await StreamClient.open(harness.client('alice'));
    for (let n = 0; n < 30; n += 1) stream.send({ case: 'send', value: { receiverId: 'bob', text: `${n}` } }, `${n}`);
    await until(() => writes > 0, 'the first write has begun');
    for (let n = 0; n < 20; n += 1) await clock.advance(0);
    expect(writes).toBeLessThanOrEqual(8);
    open();
    const results: string[] = [];
    while (results.length < 30) {
      const frame = await stream.next();
      if (frame.case === 'result') results.push(frame.value.requestId);
    }
    expect(results).toEqual(Array.from({ length: 30 }, (_, n) => `${n}`));
    stream.cancel();
  });

  test('is forgotten when its client leaves meanwhile', async () => {
    gate = new Promise(() => undefined);
    const { stream } = await StreamClient.open(harness.client('alice'));
    stream.send({ case: 'send', value: { receiverId: 'bob', text: 'hi' } }, 'x');
    await until(() => writes > 0, 'the write has begun');
    stream.cancel();
    await until(() => harness.registry.count === 0 && harness.door.streamCount === 0, 'the stream is forgotten');
    expect(harness.presenceCalls.map(({ type }) => type)).toEqual(['connected', 'disconnected']);
  });
});

describe('A stream whose store fails', () => {
  test('answers the frame with an error, tells the log why, and goes on', async () => {
    const { stream } = await StreamClient.open(harness.client('alice'));
    failing = new Error('disk on fire');
    stream.send({ case: 'send', value: { receiverId: 'bob', text: 'hi' } }, 'x');
    const { outcome } = await stream.take('result');
    expect(outcome).toMatchObject({
      case: 'error',
      value: { code: Code.Internal, message: 'Something went wrong inside the server' },
    });
    expect(harness.log.errors).toEqual([failing]);
    failing = undefined;
    stream.send({ case: 'send', value: { receiverId: 'bob', text: 'hi' } }, 'y');
    expect((await stream.result()).outcome.case).toBe('ok');
    stream.cancel();
  });

  test('is ready at once all the same, and caught up when the store is back', async () => {
    await harness.client('alice').sendMessage({ receiverId: 'bob', text: 'waiting' });
    failing = new Error('disk on fire');
    const { stream, ready } = await StreamClient.open(harness.client('bob'));
    expect(ready).toMatchObject({ recovered: false, position: { epoch: '' } });
    failing = undefined;
    await clock.advance(200);
    expect(await stream.text()).toBe('waiting');
    expect((await stream.take('heartbeat')).position?.offset).toBe(1n);
    stream.cancel();
  });
});

describe('A live stream that lost its continuity', () => {
  test('says so with a second ready, after everything undelivered', async () => {
    const { stream, ready } = await StreamClient.open(harness.client('bob'));
    await harness.client('alice').sendMessage({ receiverId: 'bob', text: 'one' });
    expect(await stream.text()).toBe('one');
    // The broker's history has ended: longer ago than it keeps streams nobody listens to.
    harness.broker.readSince = (userId) =>
      harness.broker.top(userId).then((top) => ({ entries: [], complete: false, top }));
    harness.registry.doubt(['bob']);
    expect(await stream.text()).toBe('one');
    const again = await stream.take('ready');
    expect(again).toMatchObject({ recovered: false, connectionId: ready.connectionId, position: { offset: 1n } });
    stream.cancel();
  });
});

describe('Closing the door', () => {
  test('cuts whatever is still open', async () => {
    const { stream } = await StreamClient.open(harness.client('alice'));
    const subscribed = harness.client('bob', TRANSPORTS['Connect over HTTP/1.1']).subscribe({})[Symbol.asyncIterator]();
    await subscribed.next();
    harness.door.close();
    await stream.failure();
    await expect(subscribed.next()).rejects.toThrow();
    await until(() => harness.registry.count === 0 && harness.door.streamCount === 0, 'the streams are forgotten');
  });
});
