import { describe, expect, test } from 'vitest';
import { type RecentSend, RecentSends, type RecentSendsOptions } from '../../../src/bridge/recent-sends.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

const OPTIONS: RecentSendsOptions = { maxAgeMs: 1000, maxPerSender: 3, maxSends: 5, maxCharacters: 100 };

function setUp(options: Partial<RecentSendsOptions> = {}) {
  const clock = new FakeClock();
  const sends = new RecentSends<RecentSend>(clock, { ...OPTIONS, ...options });
  const add = (senderId: string, text: string): RecentSend => {
    const send: RecentSend = { senderId, receiverId: 'bob', text, sinceMs: clock.monotonicMs() };
    sends.add(send);
    return send;
  };
  return { add, clock, sends };
}

describe('the memory of recent sends', () => {
  test('finds the oldest like send, and only with the same sender, receiver and text', () => {
    const { add, sends } = setUp();
    const first = add('ann', 'ok');
    const second = add('ann', 'ok');
    expect(sends.find('ann', 'bob', 'ok')).toBe(first);
    expect(sends.find('ann', 'bob', 'ok', (send) => send !== first)).toBe(second);
    expect(sends.find('ann', 'bob', 'OK')).toBeUndefined();
    expect(sends.find('ann', 'cid', 'ok')).toBeUndefined();
    expect(sends.find('cid', 'bob', 'ok')).toBeUndefined();
    sends.delete(first);
    sends.delete(first);
    expect(sends.find('ann', 'bob', 'ok')).toBe(second);
  });

  test('forgets with age', async () => {
    const { add, clock, sends } = setUp();
    add('ann', 'old');
    await clock.advance(1001);
    expect(sends.find('ann', 'bob', 'old')).toBeUndefined();
    add('ann', 'new');
    expect(sends.size).toBe(1);
  });

  test('is bounded per sender, in all and in characters', () => {
    const { add, sends } = setUp();
    for (const text of ['1', '2', '3', '4']) add('ann', text);
    expect(sends.find('ann', 'bob', '1')).toBeUndefined();
    expect(sends.find('ann', 'bob', '2')).toBeDefined();
    for (const sender of ['bea', 'cid', 'dan', 'eva']) add(sender, 'x');
    expect(sends.size).toBeLessThanOrEqual(5);
    expect(sends.find('ann', 'bob', '3')).toBeUndefined();
    expect(sends.find('eva', 'bob', 'x')).toBeDefined();
    add('fay', 'y'.repeat(80));
    add('gus', 'z'.repeat(80));
    expect(sends.size).toBe(1);
    expect(sends.find('gus', 'bob', 'z'.repeat(80))).toBeDefined();
  });

  test('a sender whose only send makes room for the next is still found', () => {
    const { add, sends } = setUp({ maxPerSender: 1 });
    add('ann', '1');
    const second = add('ann', '2');
    expect(sends.find('ann', 'bob', '2')).toBe(second);
    expect(sends.size).toBe(1);
  });
});
