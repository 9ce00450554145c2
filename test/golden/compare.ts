/**
 * Whether what the server sent is what the transcript says, by the rules of the transcripts' README: strings, member names, order
 * and numbers as recorded; ids, dates and the cutting into frames may differ.
 */

import { eventRecords } from './event-stream.ts';
import { binaryRecords } from './messagepack-records.ts';
import { type Observed, opcode } from './raw-client.ts';
import type { Line } from './transcript.ts';

/** What the server must send next on a connection. */
export type Expected =
  | {
      readonly kind: 'http';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  | { readonly kind: 'record'; readonly text: string; readonly isBinary?: true }
  | { readonly kind: 'ping' | 'pong'; readonly payload: string }
  | { readonly kind: 'close-frame'; readonly code: number; readonly reason: string }
  | { readonly kind: 'end' };

const GUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
/** A connection id where it is one: alone, or behind a user's name (WhoAmI). */
const CONNECTION_ID = /^((?:\S+ )?)([\w-]{22})$/;
/** Stands for any whole number of seconds. */
export const ANY_SECONDS = '{{seconds}}';
/** With the member whole, so that no other text is taken for the id. */
const CLIENT_CALL = /^\{"type":1,("invocationId":"[^"]+")/;
const RECORDED_DATE = /^2026-11-22T[0-9:.]+Z$/;
/** Headers that clients read. Those of caching and of the type only count where there is a body. */
const RELEVANT_HEADERS = ['www-authenticate', 'sec-websocket-extensions', 'sec-websocket-protocol', 'location'];
const BODY_HEADERS = ['content-type', 'cache-control', 'expires', 'pragma'];

/** Ids of the recording and what stands in their place now. */
export class IdMap {
  readonly #ids = new Map<string, string>();

  /** Whether `recorded` can stand for `actual`; binds it the first time. */
  matches(recorded: string, actual: string): boolean {
    const bound = this.#ids.get(recorded);
    if (bound !== undefined) return bound === actual;
    this.#ids.set(recorded, actual);
    return true;
  }

  /** `text` with the ids of now. */
  apply(text: string): string {
    let result = text;
    for (const [recorded, actual] of this.#ids) result = result.replaceAll(recorded, actual);
    return result;
  }
}

/** Whether a body of that type holds records of a poll. */
export function isData(contentType: string | undefined): boolean {
  return contentType === 'application/octet-stream';
}

/** The items a line of the server stands for; `rest` is a record that began in an earlier frame, of binary ones in base64. */
export function expectedOf(line: Line, rest: string): { readonly items: readonly Expected[]; readonly rest: string } {
  switch (line.kind) {
    case 'http': {
      const { status = 0, headers, streaming = false } = line.data;
      const body = line.data.body ?? '';
      const names = body === '' && !streaming ? RELEVANT_HEADERS : [...RELEVANT_HEADERS, ...BODY_HEADERS];
      const kept = headers.map(([name, value]) => [name.toLowerCase(), value] as const);
      const relevant = Object.fromEntries(kept.filter(([name]) => names.includes(name)));
      if (!isData(relevant['content-type']))
        return { items: [{ kind: 'http', status, headers: relevant, body }], rest };
      // What a poll brings are records.
      const records = body.split('\u001e').slice(0, -1);
      const items = records.map((text) => ({ kind: 'record', text }) as const);
      return { items: [{ kind: 'http', status, headers: relevant, body: '' }, ...items], rest };
    }
    case 'ws-text': {
      const records = (rest + line.data).split('\u001e');
      const remaining = records.pop() ?? '';
      return { items: records.map((text) => ({ kind: 'record', text }) as const), rest: remaining };
    }
    case 'ws-binary': {
      const records = binaryRecords(Buffer.concat([Buffer.from(rest, 'base64'), Buffer.from(line.data, 'base64')]));
      const items = records.texts.map((text) => ({ kind: 'record', text, isBinary: true }) as const);
      return { items, rest: records.rest.toString('base64') };
    }
    case 'sse': {
      const records = eventRecords(rest + line.data);
      return { items: records.texts.map((text) => ({ kind: 'record', text }) as const), rest: records.rest };
    }
    case 'ws-pong':
      return { items: [{ kind: 'pong', payload: line.data }], rest };
    case 'close': {
      const { what, code = 0, reason = '' } = line.data;
      if (what === 'ws close frame') return { items: [{ kind: 'close-frame', code, reason }], rest };
      // How a TCP connection ends is below the protocol.
      return { items: [{ kind: 'end' }], rest };
    }
    case 'note':
      return { items: [], rest };
    default:
      throw new Error(`The replay does not know lines of kind ${line.kind}`);
  }
}

/** What is wrong with `observed`, or undefined when it is what was expected. */
export function difference(expected: Expected, observed: Observed, ids: IdMap): string | undefined {
  const shown = `expected ${show(expected)}, got ${show(observed)}`;
  if (expected.kind === 'http' && observed.kind === 'http') {
    if (expected.status !== observed.status) return shown;
    if (!sameBody(expected.body, observed.body, ids)) return shown;
    for (const [name, value] of Object.entries(expected.headers)) {
      if (!sameHeader(name, value, observed.headers.get(name))) return `header ${name}: ${shown}`;
    }
    const unasked = RELEVANT_HEADERS.find((name) => observed.headers.has(name) && !(name in expected.headers));
    return unasked === undefined ? undefined : `unexpected header ${unasked}: ${shown}`;
  }
  if (expected.kind === 'record' && observed.kind === 'record') {
    if (observed.opcode !== (expected.isBinary === true ? opcode.binary : opcode.text)) {
      return `in a frame of the wrong kind: ${shown}`;
    }
    const text = withRecordedInvocationId(expected.text, observed.text, ids);
    return sameBody(expected.text, text, ids) ? undefined : shown;
  }
  return JSON.stringify(expected) === JSON.stringify(observed) ? undefined : shown;
}

/** `actual` with the recorded id, if both are calls of a client that want an answer: any id that is unique will do. */
function withRecordedInvocationId(recorded: string, actual: string, ids: IdMap): string {
  const [, recordedId] = CLIENT_CALL.exec(recorded) ?? [];
  const [, actualId] = CLIENT_CALL.exec(actual) ?? [];
  if (recordedId === undefined || actualId === undefined || !ids.matches(recordedId, actualId)) return actual;
  return actual.replace(actualId, recordedId);
}

function show(item: Expected | Observed): string {
  const headers =
    item.kind === 'http' && item.headers instanceof Map ? { headers: Object.fromEntries(item.headers) } : {};
  return JSON.stringify({ ...item, ...headers }).slice(0, 400);
}

function sameHeader(name: string, expected: string, actual: string | undefined): boolean {
  if (actual === undefined) return false;
  // What stands behind error="invalid_token" may differ.
  if (name === 'www-authenticate') return actual.split(',')[0] === expected.split(',')[0];
  if (name === 'content-type') return actual.split(';')[0] === expected.split(';')[0];
  return actual === expected;
}

function sameBody(expected: string, actual: string, ids: IdMap): boolean {
  if (!expected.startsWith('{') && !expected.startsWith('[')) return expected === actual;
  return sameJson(decode(expected), decode(actual), ids);
}

class Numeral {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** JSON with numbers as they are written, or the text itself when it is none. */
function decode(text: string): unknown {
  const reviver = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' ? new Numeral(context?.source ?? String(value)) : value;
  try {
    return JSON.parse(text, reviver);
  } catch {
    return text;
  }
}

function sameJson(expected: unknown, actual: unknown, ids: IdMap): boolean {
  if (expected === ANY_SECONDS) return actual instanceof Numeral && /^\d+$/.test(actual.source);
  if (typeof expected === 'string') return typeof actual === 'string' && sameText(expected, actual, ids);
  if (expected instanceof Numeral) return actual instanceof Numeral && actual.source === expected.source;
  if (typeof expected !== 'object' || expected === null) return expected === actual;
  if (typeof actual !== 'object' || actual === null || Array.isArray(expected) !== Array.isArray(actual)) return false;
  const members = Object.entries(expected);
  const others = Object.entries(actual);
  return (
    members.length === others.length &&
    members.every(([name, value], index) => others[index]?.[0] === name && sameJson(value, others[index][1], ids))
  );
}

function sameText(expected: string, actual: string, ids: IdMap): boolean {
  if (RECORDED_DATE.test(expected)) return !Number.isNaN(Date.parse(actual));
  const guids = expected.match(GUID);
  if (guids?.[0] === expected && !expected.startsWith('00000000')) return ids.matches(expected, actual);
  const [, name, id] = CONNECTION_ID.exec(expected) ?? [];
  if (id === undefined) return expected === actual;
  const [, actualName, actualId] = CONNECTION_ID.exec(actual) ?? [];
  return name === actualName && actualId !== undefined && ids.matches(id, actualId);
}
