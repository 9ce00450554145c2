import { describe, expect, test } from 'vitest';
import { MemoryBroker } from '../../../src/broker/memory.ts';
import { describeBroker, type OpenBroker } from '../../contract/broker.contract.ts';
import { describeBrokerEpochs } from '../../contract/broker-epochs.contract.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

async function open(): Promise<OpenBroker> {
  const clock = new FakeClock();
  const broker = new MemoryBroker({ clock, maxEvents: 50, maxAgeMs: 60_000 });
  return {
    broker,
    maxEvents: 50,
    expireHistory: () => clock.advance(60_001),
    close: () => broker[Symbol.asyncDispose](),
  };
}

describeBroker('MemoryBroker', open);
describeBrokerEpochs('MemoryBroker', open);

describe('MemoryBroker', () => {
  test('the place of an idle user is forgotten after the idle time, the place of a subscribed one is not', async () => {
    const clock = new FakeClock();
    await using broker = new MemoryBroker({ clock, maxAgeMs: 1000, idleMs: 600_000 });
    await broker.top('idle');
    await broker.subscribe('subscribed', { onEntry: () => {}, onTransient: () => {}, onDoubt: () => {} });
    expect(broker.streams).toBe(2);
    await clock.advance(700_000);
    expect(broker.streams).toBe(1);
  });

  test('events are bounded in all, the oldest go first', async () => {
    const clock = new FakeClock();
    await using broker = new MemoryBroker({ clock, maxTotalEvents: 100 });
    const event = { type: 'conversationRead', readerId: 'a', senderId: 'b', upToSeq: 1, atMs: 0 } as const;
    const old = await broker.top('old');
    await broker.append([{ userId: 'old', event }]);
    await clock.advance(1000);
    const young = await broker.top('young');
    for (let count = 0; count < 70; count += 1) await broker.append([{ userId: 'young', event }]);
    expect((await broker.readSince('old', old, 10)).complete).toBe(true);
    for (let count = 0; count < 60; count += 1) {
      await broker.append([{ userId: `u${count}`, event }]);
      await clock.advance(1);
    }
    expect((await broker.readSince('old', old, 10)).complete).toBe(false);
    expect((await broker.readSince('young', young, 1000)).complete).toBe(false);
    expect((await broker.readSince('u59', { ...(await broker.top('u59')), offset: 0 }, 10)).complete).toBe(true);
  });

  test('another broker is another epoch', async () => {
    const clock = new FakeClock();
    await using first = new MemoryBroker({ clock });
    await using second = new MemoryBroker({ clock });
    expect((await first.top('bob')).epoch).not.toBe((await second.top('bob')).epoch);
  });
});
