/** What every Broker must do when it is told that events will never be appended. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Broker } from '../../src/core/ports.ts';
import type { OpenBroker } from './broker.contract.ts';

const event = { type: 'conversationRead', readerId: 'alice', senderId: 'bob', upToSeq: 1, atMs: 0 } as const;

export function describeBrokerEpochs(name: string, open: () => Promise<OpenBroker>): void {
  describe(`${name} ending epochs`, () => {
    let opened: OpenBroker;
    let broker: Broker;
    beforeEach(async () => {
      opened = await open();
      broker = opened.broker;
    });
    afterEach(() => opened.close());

    test('an ended epoch makes subscribers doubt and older positions prove nothing', async () => {
      await broker.append([{ userId: 'bob', event }]);
      const before = await broker.top('bob');
      const doubted = new Promise<void>((resolve) => {
        void broker.subscribe('bob', { onEntry: () => {}, onTransient: () => {}, onDoubt: resolve }).then(async () => {
          await broker.endEpochs(['bob']);
        });
      });
      await doubted;
      const after = await broker.top('bob');
      expect(after.epoch).not.toBe(before.epoch);
      expect(after.offset).toBe(0);
      expect(await broker.readSince('bob', before, 10)).toMatchObject({ complete: false, entries: [] });
    });

    test('the streams of others are left alone', async () => {
      await broker.append([{ userId: 'carol', event }]);
      const before = await broker.top('carol');
      await broker.endEpochs(['bob']);
      expect(await broker.top('carol')).toEqual(before);
    });
  });
}
