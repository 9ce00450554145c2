/** What every Broker must do. An adapter's test calls `describeBroker` with a way to open one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StreamEvent, StreamPosition, TransientEvent } from '../../src/core/events.ts';
import type { Broker, StreamEntry, StreamListener } from '../../src/core/ports.ts';

export interface OpenBroker {
  readonly broker: Broker;
  /** Most events the adapter keeps per user in this test; the suite goes beyond it. */
  readonly maxEvents: number;
  /** Lets everything older than the history's age limit expire. */
  expireHistory(): Promise<void>;
  close(): Promise<void>;
}

function sent(number: number, receiverId = 'bob'): StreamEvent {
  return {
    type: 'messageSent',
    message: { id: `m${number}`, seq: number, senderId: 'alice', receiverId, text: `text ${number}`, sentAtMs: number },
  };
}

/** Listens, and lets a test wait for the n-th entry. */
class Recorder implements StreamListener {
  readonly entries: StreamEntry[] = [];
  readonly transients: TransientEvent[] = [];
  doubts = 0;
  #waiting: { isMet: () => boolean; resolve: () => void }[] = [];

  onEntry(entry: StreamEntry): void {
    this.entries.push(entry);
    this.#wake();
  }

  onTransient(event: TransientEvent): void {
    this.transients.push(event);
    this.#wake();
  }

  onDoubt(): void {
    this.doubts += 1;
  }

  /** Resolves when `count` entries and transients have come in all. */
  seen(count: number): Promise<void> {
    return this.until(() => this.entries.length + this.transients.length >= count);
  }

  /** Resolves when the condition holds; it is looked at now and after everything that comes. */
  until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ isMet, resolve });
      this.#wake();
    });
  }

  #wake(): void {
    const met = this.#waiting.filter(({ isMet }) => isMet());
    this.#waiting = this.#waiting.filter((waiting) => !met.includes(waiting));
    for (const { resolve } of met) resolve();
  }
}

const texts = (entries: readonly StreamEntry[]): string[] =>
  entries.map(({ event }) => (event.type === 'messageSent' ? event.message.id : event.type));
const offsets = (entries: readonly StreamEntry[]): number[] => entries.map((entry) => entry.position.offset);

export function describeBroker(name: string, open: () => Promise<OpenBroker>): void {
  describe(`${name} as a broker`, () => {
    let opened: OpenBroker;
    let broker: Broker;

    beforeEach(async () => {
      opened = await open();
      broker = opened.broker;
    });
    afterEach(() => opened.close());

    async function append(from: number, to: number, userId = 'bob'): Promise<void> {
      for (let number = from; number <= to; number += 1) await broker.append([{ userId, event: sent(number) }]);
    }

    test('an epoch exists from the first read on and stays', async () => {
      const first = await broker.top('bob');
      expect(first.epoch).not.toBe('');
      expect(first.offset).toBe(0);
      await append(1, 1);
      expect(await broker.top('bob')).toEqual({ epoch: first.epoch, offset: 1 });
    });

    test('offsets are 1, 2, 3 for each user on their own', async () => {
      await append(1, 3);
      await append(1, 2, 'carol');
      expect((await broker.top('bob')).offset).toBe(3);
      expect((await broker.top('carol')).offset).toBe(2);
    });

    test('a subscriber gets what is appended after it subscribed, in order, with positions', async () => {
      await append(1, 2);
      const recorder = new Recorder();
      await broker.subscribe('bob', recorder);
      await append(3, 6);
      await recorder.seen(4);
      expect(texts(recorder.entries)).toEqual(['m3', 'm4', 'm5', 'm6']);
      expect(offsets(recorder.entries)).toEqual([3, 4, 5, 6]);
      expect(new Set(recorder.entries.map((entry) => entry.position.epoch)).size).toBe(1);
    });

    test('one append reaches the streams of several users', async () => {
      const bob = new Recorder();
      const alice = new Recorder();
      await broker.subscribe('bob', bob);
      await broker.subscribe('alice', alice);
      const event = sent(1);
      await broker.append([
        { userId: 'bob', event },
        { userId: 'alice', event },
      ]);
      await Promise.all([bob.seen(1), alice.seen(1)]);
      expect(texts(bob.entries)).toEqual(['m1']);
      expect(texts(alice.entries)).toEqual(['m1']);
    });

    test('appends that were not awaited keep their order', async () => {
      const recorder = new Recorder();
      await broker.subscribe('bob', recorder);
      await Promise.all(
        Array.from({ length: 200 }, (_, index) => broker.append([{ userId: 'bob', event: sent(index + 1) }])),
      );
      await recorder.seen(200);
      expect(offsets(recorder.entries)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
      expect(texts(recorder.entries)).toEqual(Array.from({ length: 200 }, (_, index) => `m${index + 1}`));
    });

    test('an ended subscription gets nothing more and leaves the others alone', async () => {
      const gone = new Recorder();
      const stays = new Recorder();
      const end = await broker.subscribe('bob', gone);
      await broker.subscribe('bob', stays);
      end();
      end();
      await append(1, 1);
      await stays.seen(1);
      expect(gone.entries).toEqual([]);
    });

    test('history since a position is complete and gapless', async () => {
      await append(1, 2);
      const position = await broker.top('bob');
      await append(3, 5);
      const history = await broker.readSince('bob', position, 100);
      expect(history.complete).toBe(true);
      expect(texts(history.entries)).toEqual(['m3', 'm4', 'm5']);
      expect(history.top).toEqual({ epoch: position.epoch, offset: 5 });
    });

    test('history since the newest position is complete and empty', async () => {
      await append(1, 3);
      const history = await broker.readSince('bob', await broker.top('bob'), 100);
      expect(history).toMatchObject({ complete: true, entries: [] });
    });

    test.each<[string, (top: StreamPosition) => StreamPosition]>([
      ['another epoch', () => ({ epoch: 'another', offset: 2 })],
      ['an empty epoch', () => ({ epoch: '', offset: 2 })],
      ['an offset from the future', (top) => ({ epoch: top.epoch, offset: top.offset + 1 })],
    ])('%s proves nothing', async (_name, change) => {
      await append(1, 3);
      const history = await broker.readSince('bob', change(await broker.top('bob')), 100);
      expect(history.complete).toBe(false);
      expect(history.entries).toEqual([]);
      expect(history.top.offset).toBe(3);
    });

    test('a history longer than the limit is not complete', async () => {
      const start = await broker.top('bob');
      await append(1, 5);
      expect((await broker.readSince('bob', start, 4)).complete).toBe(false);
      expect((await broker.readSince('bob', start, 5)).complete).toBe(true);
    });

    test('history is bounded by count, and says so instead of answering a part', async () => {
      const start = await broker.top('bob');
      await append(1, opened.maxEvents * 2);
      expect((await broker.readSince('bob', start, 100_000)).complete).toBe(false);
      const recent = { epoch: start.epoch, offset: opened.maxEvents * 2 - 5 };
      const history = await broker.readSince('bob', recent, 100);
      expect(history.complete).toBe(true);
      expect(history.entries).toHaveLength(5);
    });

    test('history is bounded by age, and the newest position still proves that nothing is missing', async () => {
      const start = await broker.top('bob');
      await append(1, 3);
      const top = await broker.top('bob');
      await opened.expireHistory();
      expect((await broker.readSince('bob', start, 100)).complete).toBe(false);
      expect(await broker.readSince('bob', top, 100)).toMatchObject({ complete: true, entries: [] });
    });

    test('subscribing first and reading then misses nothing, whatever is appended in between', async () => {
      const start = await broker.top('bob');
      const recorder = new Recorder();
      let appended = 0;
      const writing = (async () => {
        for (; appended < 100; appended += 1) await broker.append([{ userId: 'bob', event: sent(appended + 1) }]);
      })();
      await broker.subscribe('bob', recorder);
      const history = await broker.readSince('bob', start, 1000);
      await writing;
      // What comes both ways counts once.
      const all = (): Set<number> => new Set([...offsets(history.entries), ...offsets(recorder.entries)]);
      await recorder.until(() => all().size >= 100);
      expect([...all()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    });

    test('a transient event reaches the connected subscribers of its user and is not kept', async () => {
      const start = await broker.top('bob');
      const bob = new Recorder();
      const carol = new Recorder();
      await broker.subscribe('bob', bob);
      await broker.subscribe('carol', carol);
      await broker.publishToUser('bob', { type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true });
      await bob.seen(1);
      expect(bob.transients).toEqual([{ type: 'typing', fromUserId: 'alice', toUserId: 'bob', active: true }]);
      expect(carol.transients).toEqual([]);
      expect(await broker.readSince('bob', start, 10)).toMatchObject({ complete: true, entries: [] });
    });

    test('a broadcast reaches every listener with its audience, until it stops listening', async () => {
      const heard: { audience: readonly string[] | undefined }[] = [];
      let resolve: () => void = () => undefined;
      const both = new Promise<void>((done) => {
        resolve = done;
      });
      const stop = broker.onBroadcast((_event, audience) => {
        heard.push({ audience });
        if (heard.length === 2) resolve();
      });
      const event = { type: 'presenceChanged', changes: [{ userId: 'alice', online: true }] } as const;
      await broker.broadcast(event);
      await broker.broadcast(event, ['bob']);
      await both;
      stop();
      await broker.broadcast(event);
      await broker.top('bob');
      expect(heard).toEqual([{ audience: undefined }, { audience: ['bob'] }]);
    });
  });
}
