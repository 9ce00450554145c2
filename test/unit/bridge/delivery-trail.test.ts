import { describe, expect, test } from 'vitest';
import { DeliveryTrail, MAX_PROVEN, MAX_UNPROVEN } from '../../../src/bridge/delivery-trail.ts';
import { COMMIT_MARGIN_MS } from '../../../src/bridge/gap.ts';

describe('the trail of a connection', () => {
  test('begins with the oldest message that is not proven, in whatever order they were sent', () => {
    const trail = new DeliveryTrail();
    expect(trail.oldestUnprovenMs).toBeUndefined();
    trail.sent(1, 'a', 3000);
    trail.sent(2, 'b', 1000);
    trail.sent(4, 'c', 2000);
    expect(trail.oldestUnprovenMs).toBe(1000);
    trail.proven(3);
    expect(trail.oldestUnprovenMs).toBe(2000);
    trail.proven(4);
    expect(trail.oldestUnprovenMs).toBeUndefined();
  });

  test('knows the latest messages that arrived', () => {
    const trail = new DeliveryTrail();
    trail.sent(1, 'old', 1000);
    trail.sent(2, 'a', 5000);
    trail.proven(2);
    trail.sent(3, 'b', 5000 + COMMIT_MARGIN_MS);
    trail.sent(4, 'not proven', 5000 + COMMIT_MARGIN_MS);
    trail.proven(3);
    expect(trail.provenSince(0)).toStrictEqual(new Set(['a', 'b']));
    expect(trail.provenSince(5001)).toStrictEqual(new Set(['b']));
  });

  test('is bounded, and forgets no time that is not proven', () => {
    const trail = new DeliveryTrail();
    const count = MAX_UNPROVEN * 10;
    for (let mark = 1; mark <= count; mark += 1) trail.sent(mark, `m${mark}`, mark);
    expect(trail.size).toBeLessThanOrEqual(MAX_UNPROVEN);
    for (let mark = 0; mark < count; mark += 100) {
      trail.proven(mark);
      expect(trail.oldestUnprovenMs).toBeLessThanOrEqual(mark + 1);
    }
    trail.proven(count);
    expect(trail.oldestUnprovenMs).toBeUndefined();
    expect(trail.size).toBeLessThanOrEqual(MAX_PROVEN);
  });
});
