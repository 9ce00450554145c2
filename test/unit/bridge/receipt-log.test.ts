import { describe, expect, test } from 'vitest';
import { MAX_RECEIPT_ENTRIES, ReceiptLog } from '../../../src/bridge/receipt-log.ts';

describe('the log of what a connection was sent', () => {
  test('proof of a mark gives the highest seq of each conversation, once', () => {
    const log = new ReceiptLog();
    log.sent(1, 'ann', 7);
    log.sent(2, 'cid', 1);
    log.sent(3, 'ann', 8);
    log.sent(5, 'ann', 9);
    expect(log.proven(4)).toStrictEqual(
      new Map([
        ['ann', 8],
        ['cid', 1],
      ]),
    );
    expect(log.proven(4)).toBeUndefined();
    expect(log.proven(5)).toStrictEqual(new Map([['ann', 9]]));
    expect(log.size).toBe(0);
  });

  test('what was acknowledged needs no proof any more', () => {
    const log = new ReceiptLog();
    log.sent(1, 'ann', 7);
    log.acknowledged('cid', 99);
    expect(log.size).toBe(1);
    log.acknowledged('ann', 7);
    expect(log.proven(1)).toBeUndefined();
    log.sent(2, 'ann', 8);
    log.sent(3, 'cid', 1);
    log.sent(4, 'ann', 9);
    log.acknowledged('ann', 8);
    expect(log.proven(4)).toStrictEqual(
      new Map([
        ['cid', 1],
        ['ann', 9],
      ]),
    );
  });

  test('is bounded, and a flood from one person still moves on with the proof', () => {
    const log = new ReceiptLog();
    const count = MAX_RECEIPT_ENTRIES * 10;
    for (let seq = 1; seq <= count; seq += 1) log.sent(seq, 'ann', seq);
    expect(log.size).toBeLessThanOrEqual(MAX_RECEIPT_ENTRIES);
    const lagging = log.proven(count - 200)?.get('ann') ?? 0;
    expect(lagging).toBeGreaterThan(count - 400);
    expect(lagging).toBeLessThanOrEqual(count - 200);
    expect(log.proven(count)?.get('ann')).toBe(count);
  });

  test('is bounded when everybody writes once', () => {
    const log = new ReceiptLog();
    for (let mark = 1; mark <= MAX_RECEIPT_ENTRIES * 3; mark += 1) log.sent(mark, `user-${mark}`, 1);
    expect(log.size).toBeLessThanOrEqual(MAX_RECEIPT_ENTRIES);
    expect(log.proven(MAX_RECEIPT_ENTRIES * 3)?.has(`user-${MAX_RECEIPT_ENTRIES * 3}`)).toBe(true);
  });
});
