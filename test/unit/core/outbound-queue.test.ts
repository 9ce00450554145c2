import { describe, expect, test } from 'vitest';
import { OutboundQueue } from '../../../src/core/outbound-queue.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';

function setUp(options: { maxBytes?: number; maxAgeMs?: number } = {}) {
  const clock = new FakeClock();
  const seen = { overflows: 0 };
  const queue = new OutboundQueue<string>({
    clock,
    maxBytes: options.maxBytes ?? 100,
    maxAgeMs: options.maxAgeMs ?? 1000,
    onOverflow: () => {
      seen.overflows += 1;
    },
  });
  return { clock, queue, seen };
}

async function rest(queue: OutboundQueue<string>): Promise<string[]> {
  const items: string[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

describe('An outbound queue', () => {
  test('hands items out in the order they came, to a consumer that waits and to one that does not', async () => {
    const { queue } = setUp();
    const first = queue.next();
    queue.push('a', 10);
    expect(queue.length).toBe(0);
    queue.push('b', 10);
    queue.push('c', 10);
    expect([queue.length, queue.bytes]).toEqual([2, 20]);
    expect(await first).toEqual({ done: false, value: 'a' });
    queue.finish();
    expect(queue.push('d', 1)).toBe(false);
    expect(await rest(queue)).toEqual(['b', 'c']);
    expect(await queue.next()).toEqual({ done: true, value: undefined });
  });

  test('keeps the order over many more items than it keeps slots for', async () => {
    const { queue } = setUp({ maxBytes: 1_000_000 });
    const taken: string[] = [];
    for (let n = 0; n < 5000; n += 1) {
      queue.push(`${n}`, 1);
      if (n % 3 === 0) taken.push((await queue.next()).value ?? '');
    }
    queue.finish();
    taken.push(...(await rest(queue)));
    expect(taken).toEqual(Array.from({ length: 5000 }, (_, n) => `${n}`));
  });

  test('closes and drops everything when it overflows, and says so once', async () => {
    const { queue, seen } = setUp();
    expect(queue.push('a', 60)).toBe(true);
    expect(queue.push('b', 40)).toBe(true);
    expect(queue.push('c', 1)).toBe(false);
    expect(seen.overflows).toBe(1);
    expect([queue.length, queue.bytes]).toEqual([0, 0]);
    expect(queue.push('d', 1)).toBe(false);
    expect(await queue.next()).toEqual({ done: true, value: undefined });
    expect(seen.overflows).toBe(1);
  });

  test('takes one item that is larger than the bound if nothing else waits', async () => {
    const { queue, seen } = setUp();
    expect(queue.push('huge', 1000)).toBe(true);
    expect(seen.overflows).toBe(0);
    expect((await queue.next()).value).toBe('huge');
  });

  test('does not count paced items, whose producer waits for it to drain', async () => {
    const { queue, seen } = setUp();
    for (let n = 0; n < 10; n += 1) expect(queue.push(`p${n}`, 50, true)).toBe(true);
    expect(queue.push('live', 90)).toBe(true);
    let drained = false;
    const waiting = queue.drained().then(() => {
      drained = true;
    });
    for (let n = 0; n < 10; n += 1) await queue.next();
    expect(drained).toBe(false);
    expect((await queue.next()).value).toBe('live');
    await waiting;
    await queue.drained();
    expect(seen.overflows).toBe(0);
  });

  test('overflows when an item has waited too long, not when items are taken in time', async () => {
    const { clock, queue, seen } = setUp({ maxAgeMs: 1000 });
    queue.push('a', 1);
    await clock.advance(900);
    queue.push('b', 1);
    await queue.next();
    await clock.advance(999);
    expect(seen.overflows).toBe(0);
    await clock.advance(1);
    expect(seen.overflows).toBe(1);
    expect(queue.length).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test('has one timer however many items wait, and none when it is closed', async () => {
    const { clock, queue } = setUp();
    for (let n = 0; n < 50; n += 1) queue.push(`${n}`, 1);
    expect(clock.pending).toBe(1);
    queue.close();
    expect(clock.pending).toBe(0);
  });

  test('lets go of whoever waits when it is closed', async () => {
    const { queue } = setUp();
    const pulled = queue.next();
    queue.close();
    expect(await pulled).toEqual({ done: true, value: undefined });
    const other = setUp().queue;
    other.push('a', 90);
    const drained = other.drained();
    other.close();
    await expect(drained).rejects.toThrow('closed');
    await expect(other.drained()).rejects.toThrow('closed');
  });

  test('is closed by a consumer that leaves', async () => {
    const { queue } = setUp();
    queue.push('a', 1);
    queue.push('b', 1);
    for await (const item of queue) {
      expect(item).toBe('a');
      break;
    }
    expect(queue.length).toBe(0);
    expect(queue.push('c', 1)).toBe(false);
  });

  test('ends at once when it is finished empty', async () => {
    const { queue } = setUp();
    const pulled = queue.next();
    queue.finish();
    expect((await pulled).done).toBe(true);
  });
});
