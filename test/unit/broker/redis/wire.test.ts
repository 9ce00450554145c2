import { expect, test } from 'vitest';
import { decodeChannelMessage, encodeEvent, RecentEvents } from '../../../../src/broker/redis/wire.ts';
import type { StreamEvent } from '../../../../src/core/events.ts';

const sent = (seq: number, text = 'text'): StreamEvent => ({
  type: 'messageSent',
  message: { id: `m${seq}`, seq, senderId: 'alice', receiverId: 'bob', text, sentAtMs: seq },
});

const entriesOf = (payload: string, events?: RecentEvents) => {
  const message = decodeChannelMessage(payload, events);
  return message?.type === 'entries' ? message.entries : undefined;
};

test('the entries of a payload have the offsets from its first on', () => {
  const events = [sent(1), sent(2, 'two\nlines'), sent(3)];
  expect(entriesOf(`Eepoch 7\n${events.map(encodeEvent).join('\n')}`)).toEqual(
    events.map((event, index) => ({ position: { epoch: 'epoch', offset: 7 + index }, event })),
  );
});

test.each([
  'E',
  'Ea',
  'Ea 1',
  'E 1\n{}',
  'Ea 0\n{}',
  'Ea x\n{}',
  'Ea\n1 {}',
  'Ea 1\n',
  `Ea 1\n${encodeEvent(sent(1))}\n`,
])('what is no payload is none (%j)', (payload) => expect(entriesOf(payload, new RecentEvents())).toBeUndefined());

test('an event that was noted, or came alone before, is the same object', () => {
  const events = new RecentEvents();
  const own = sent(1);
  events.note(encodeEvent(own), own);
  expect(entriesOf(`Ea 1\n${encodeEvent(own)}`, events)?.[0]?.event).toBe(own);
  const once = entriesOf(`Ea 1\n${encodeEvent(sent(2))}`, events)?.[0]?.event;
  expect(once).toEqual(sent(2));
  expect(entriesOf(`Eb 9\n${encodeEvent(own)}\n${encodeEvent(sent(2))}`, events)?.[1]?.event).toBe(once);
});

test('what is noted is bounded, the newest are kept, and long texts are not', () => {
  const events = new RecentEvents();
  const all = Array.from({ length: 5000 }, (_, index) => sent(index + 1));
  for (const event of all) events.note(encodeEvent(event), event);
  const isKept = (event: StreamEvent | undefined): boolean =>
    event !== undefined && events.decode(encodeEvent(event), true) === event;
  expect(isKept(all[0])).toBe(false);
  expect(isKept(all[2999])).toBe(false);
  expect(isKept(all[4000])).toBe(true);
  expect(isKept(all[4999])).toBe(true);
  const long = sent(6000, 'x'.repeat(3000));
  events.note(encodeEvent(long), long);
  expect(isKept(long)).toBe(false);
});
