import { expect, test } from 'vitest';
import { Turns } from '../../../src/core/turns.ts';
import { FakeClock } from '../../fixtures/fake-clock.ts';
import { settle } from '../../fixtures/settle.ts';

test('so many run at a time, the others in their order, and a failure gives its place to the next', async () => {
  const clock = new FakeClock();
  const turns = new Turns({ clock, places: 2, patienceMs: 1000 });
  const begun: number[] = [];
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<number>());
  const results = gates.map(({ promise }, index) =>
    turns.run(() => {
      begun.push(index);
      return promise;
    }),
  );
  await settle();
  expect(begun).toEqual([0, 1]);
  gates[1]?.resolve(1);
  gates[0]?.reject(new Error('no'));
  await expect(results[0]).rejects.toThrow('no');
  await settle();
  expect(begun).toEqual([0, 1, 2, 3]);
  for (const [index, gate] of gates.entries()) gate.resolve(index);
  expect(await Promise.all(results.slice(1))).toEqual([1, 2, 3, 4]);
  expect(clock.pending).toBe(0);
});

test('who takes too long is not waited for, and still gets an answer', async () => {
  const clock = new FakeClock();
  const turns = new Turns({ clock, places: 1, patienceMs: 1000 });
  const slow = Promise.withResolvers<string>();
  const first = turns.run(() => slow.promise);
  const second = turns.run(async () => 'second');
  await clock.advance(1000);
  expect(await second).toBe('second');
  slow.resolve('first');
  expect(await first).toBe('first');
  // The place was given up once.
  const gate = Promise.withResolvers<void>();
  let running = 0;
  for (let number = 0; number < 3; number += 1) {
    void turns.run(() => {
      running += 1;
      return gate.promise;
    });
  }
  await settle();
  expect(running).toBe(1);
  gate.resolve();
});
