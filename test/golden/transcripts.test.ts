/**
 * Replays what was recorded of the reference against this server. What the transcripts' README calls "must match" must match; where
 * this server differs on purpose, `exceptions.ts` says so and why.
 */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/time/clock.ts';
import { FakeClock } from '../fixtures/fake-clock.ts';
import { type Expected, IdMap } from './compare.ts';
import { type Exception, exceptions } from './exceptions.ts';
import { numbered } from './numbering.ts';
import type { Observed } from './raw-client.ts';
import { startReferenceServer } from './reference-server.ts';
import { firstDifference, replay, scriptOf } from './replay.ts';
import { hasTranscripts, readTranscript, referenceDirectory } from './transcript.ts';

/** All there are. */
const replayed = Array.from({ length: 66 }, (_, index) => String(index + 1).padStart(2, '0'));
/** Transcripts that are about the passing of time: the server's clock is moved by hand. */
const timed = new Set(['07', '38', '39', '40', '43', '44', '45', '52', '53', '54', '61', '62', '63', '64', '65', '66']);
/** Transcripts in which pings come for a while: their number depends on the grain of the timer, every second at the reference. */
const pinging = new Set(['39', '40', '65']);
/** Transcripts of transports with a request for each thing said: how the answers to them and the records mix is chance. */
const requesting = new Set(['41', '50', '51', '52', '53', '54', '65', '66']);
/** Transcripts in which streams run beside each other: how their items interleave is chance, the order within each is not. */
const interleaved = new Set(['24']);
/** The recording of 24 ends while this stream still runs. */
const BEYOND_RECORDING = /"invocationId":"d","item":(9|1\d)\}/;

describe('the wire transcripts of the reference', () => {
  if (!hasTranscripts) {
    it.skip(`are not here: no folder ${referenceDirectory} (REFERENCE_DIR names another)`);
    return;
  }

  it.for(replayed)('%s is answered as recorded', { concurrent: true }, async (number) => {
    const transcript = readTranscript(number);
    const clock = timed.has(number) ? new FakeClock() : undefined;
    await using server = await startReferenceServer({ clock: clock ?? systemClock, environment: transcript.serverEnv });
    const script = scriptOf(transcript);
    const applicable = exceptions.filter(
      (exception) => exception.transcript === number || (exception.transcript === 'any' && changes(exception, script)),
    );
    const ignored = ignoredOf(transcript.serverEnv.STATUS_BROADCAST === '1', applicable);
    const recorded = numbered(script, ignored).script;
    const expected = new Map([...recorded].map(([conn, items]) => [conn, changed(items, conn, applicable)]));

    const { observed } = await replay({ transcript, server, expected, clock, ignored });

    const inOrder = <T extends Observed | Expected>(items: readonly T[]): readonly T[] =>
      interleaved.has(number)
        ? byInvocation(items)
        : statusLast(answersFirstIf(requesting.has(number), pinging.has(number) ? onePingLast(items) : items));
    const problems: string[] = [];
    const ids = new IdMap();
    for (const [conn, items] of expected) {
      const problem = firstDifference(inOrder(items), inOrder(observed.get(conn) ?? []), ids);
      if (problem !== undefined) problems.push(`${conn}: ${problem}`);
    }
    for (const exception of applicable) {
      if (exception.ignoresStatus) continue;
      const others = applicable.filter((other) => other !== exception);
      const isUsed = [...recorded].some(([conn, items]) => {
        if (!appliesTo(exception, conn)) return false;
        const unchanged = statusLast(changed(items, conn, others));
        return firstDifference(unchanged, statusLast(observed.get(conn) ?? []), new IdMap()) !== undefined;
      });
      if (!isUsed) problems.push(`the exception "${exception.name}" is not needed any more`);
    }
    expect(problems).toEqual([]);
  });

  it('are all replayed that have an exception', () => {
    expect(exceptions.filter(({ transcript }) => transcript !== 'any' && !replayed.includes(transcript))).toEqual([]);
  });
});

/** Status events come from other people's lives: their place among the answers is chance, their own order is not. */
function statusLast<T extends Observed | Expected>(items: readonly T[]): readonly T[] {
  return [...items.filter((item) => !isStatus(item)), ...items.filter(isStatus)];
}

function onePingLast<T extends Observed | Expected>(items: readonly T[]): readonly T[] {
  const isPing = (item: T): boolean => item.kind === 'record' && item.text === '{"type":6}';
  return [...items.filter((item) => !isPing(item)), ...items.filter(isPing).slice(0, 1)];
}

function answersFirstIf<T extends Observed | Expected>(isMixed: boolean, items: readonly T[]): readonly T[] {
  if (!isMixed) return items;
  const isAnswer = ({ kind }: T): boolean => kind === 'http';
  return [...items.filter(isAnswer), ...items.filter((item) => !isAnswer(item))];
}

function byInvocation<T extends Observed | Expected>(items: readonly T[]): readonly T[] {
  const idOf = (item: T): string =>
    item.kind === 'record' ? ((JSON.parse(item.text) as { invocationId?: string }).invocationId ?? '') : '';
  return [...items].sort((a, b) => idOf(a).localeCompare(idOf(b)));
}

function isStatus(item: Observed | Expected): boolean {
  return item.kind === 'record' && item.text.includes('"UserStatusChanged"');
}

/**
 * What no recording can hold: WebSocket pings, by which this server asks for proof of receipt (the reference sends none), and
 * status events where the recording was made with a switch that only the reference has, or an exception leaves them out.
 */
function ignoredOf(hasStatus: boolean, applicable: readonly Exception[]): (item: Observed | Expected) => boolean {
  const ignoresStatus = !hasStatus || applicable.some((exception) => exception.ignoresStatus);
  return (item) =>
    item.kind === 'ping' ||
    (item.kind === 'record' && BEYOND_RECORDING.test(item.text)) ||
    (ignoresStatus && isStatus(item));
}

function appliesTo({ connections }: Exception, conn: string): boolean {
  return connections === 'all' || connections.includes(conn);
}

function changes(exception: Exception, script: ReadonlyMap<string, readonly Expected[]>): boolean {
  return [...script.values()].some((items) => exception.change(items).some((item, index) => item !== items[index]));
}

function changed(items: readonly Expected[], conn: string, applied: readonly Exception[]): readonly Expected[] {
  return applied
    .filter((exception) => appliesTo(exception, conn))
    .reduce<readonly Expected[]>((result, { change }) => change(result), items);
}
