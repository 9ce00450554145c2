/**
 * Replays the client's side of a transcript and collects what the server sends.
 *
 * A line of the client is acted out when everything that the transcript shows before it has arrived, so the replay keeps the
 * recorded order without waiting. Where the passing of time is the matter, the server's clock is moved by hand to the recorded
 * time; nothing waits for real seconds.
 */
import type { FakeClock } from '../fixtures/fake-clock.ts';
import { difference, type Expected, expectedOf, IdMap } from './compare.ts';
import { connectionOf, Numbering, numbered, withAckFor } from './numbering.ts';
import { type Observed, opcode, RawClient } from './raw-client.ts';
import type { ReferenceServer } from './reference-server.ts';
import type { Line, Transcript } from './transcript.ts';

/** How long to wait for something that should come at once. */
const PATIENCE_MS = 3_000;
/** By how much the moved clock may run past a recorded time: timers tick once a second. */
const CLOCK_SLACK_MS = 3_000;
const CLOCK_STEP_MS = 250;
/** Far from a recorded time the clock goes faster, once what is on the way has had the time to arrive. */
const CLOCK_FIRST_STEPS = 8;
const FAR_MS = 5_000;
const CLOCK_LONG_STEP_MS = 1_000;
/** How long something that needs no time to pass may take on the way. */
const UNTIMED_MS = 50;
const UNMASKED = 'the next record goes in a text frame without a mask: ';

/** Bytes that were not text when they were recorded; the files hold U+FFFD in their place. By file number and time. */
const unrecorded: Readonly<Record<string, readonly number[]>> = {
  '34:243': [0xc3],
  '34:294': [0xa9],
  '35:299': [0xff, 0xfe],
};

interface Conversation {
  readonly observed: Observed[];
  clients: RawClient[];
}

/** How many items two scripts have in common at their beginning. Answers of one status may say different things. */
function commonLength(one: readonly Expected[], other: readonly Expected[]): number {
  const index = one.findIndex((item, at) => essence(item) !== essence(other[at]));
  return index === -1 ? one.length : index;
}

function essence(item: Expected | undefined): string {
  return item?.kind === 'http' ? `http ${item.status}` : JSON.stringify(item ?? null);
}

/** What came of a replay. */
export interface Outcome {
  /** By connection. */
  readonly observed: ReadonlyMap<string, readonly Observed[]>;
}

/** The expected items of a transcript, by connection. */
export function scriptOf({ lines }: Transcript): Map<string, Expected[]> {
  const expected = new Map<string, Expected[]>();
  const rests = new Map<string, string>();
  for (const line of lines) {
    if (line.dir !== 's->c' || line.conn === undefined) continue;
    const { items, rest } = expectedOf(line, rests.get(line.conn) ?? '');
    rests.set(line.conn, rest);
    expected.set(line.conn, [...(expected.get(line.conn) ?? []), ...items]);
  }
  return expected;
}

/** Compares from the beginning; undefined when everything is as expected. */
export function firstDifference(
  expected: readonly Expected[],
  observed: readonly Observed[],
  ids: IdMap,
): string | undefined {
  for (let index = 0; index < Math.max(expected.length, observed.length); index += 1) {
    const wanted = expected[index];
    const got = observed[index];
    if (wanted === undefined) return `item ${index}: unexpected ${JSON.stringify(got).slice(0, 300)}`;
    if (got === undefined) return `item ${index}: missing ${JSON.stringify(wanted).slice(0, 300)}`;
    const problem = difference(wanted, got, ids);
    if (problem !== undefined) return `item ${index}: ${problem}`;
  }
  return undefined;
}

export interface Replay {
  readonly transcript: Transcript;
  readonly server: ReferenceServer;
  /** What the server is expected to send, by connection. */
  readonly expected: ReadonlyMap<string, readonly Expected[]>;
  /** The server's clock, if it is moved by hand. */
  readonly clock: FakeClock | undefined;
  /** What the server sends and nobody looks at. */
  readonly ignored: (item: Observed | Expected) => boolean;
}

/** Acts out the client's side of a transcript. */
export async function replay({ transcript, server, expected, clock, ignored }: Replay): Promise<Outcome> {
  const conversations = new Map<string, Conversation>();
  const ids = new IdMap();
  const recorded = scriptOf(transcript);
  const numberings = { recorded: numbered(recorded, ignored).numberings, actual: new Map<string, Numbering>() };
  const due = new Map<string, number>();
  const seen = new Map<string, number>();
  const rests = new Map<string, string>();
  let elapsedMs = 0;
  let draining: Promise<void> | undefined;

  const arrived = (): boolean =>
    [...due].every(([conn, count]) => (conversations.get(conn)?.observed.length ?? 0) >= count);
  const settle = async (lineMs: number): Promise<void> => {
    const beginMs = Date.now();
    let steps = 0;
    while (!arrived() && Date.now() - beginMs < PATIENCE_MS) {
      await new Promise((resolve) => setTimeout(resolve, clock === undefined ? 2 : 5));
      // What does not come by itself comes with time.
      if (clock === undefined || Date.now() - beginMs < UNTIMED_MS || elapsedMs >= lineMs + CLOCK_SLACK_MS) continue;
      const isFar = steps > CLOCK_FIRST_STEPS && lineMs - elapsedMs > FAR_MS;
      const stepMs = isFar ? CLOCK_LONG_STEP_MS : CLOCK_STEP_MS;
      steps += 1;
      elapsedMs += stepMs;
      await clock.advance(stepMs);
    }
  };

  try {
    for (const line of transcript.lines) {
      const { conn } = line;
      if (line.dir === 's->c' && conn !== undefined) {
        const { items, rest } = expectedOf(line, rests.get(conn) ?? '');
        rests.set(conn, rest);
        const count = (seen.get(conn) ?? 0) + items.filter((item) => !ignored(item)).length;
        seen.set(conn, count);
        // What an exception adds is due at the end only; what it takes away is never due.
        const all = recorded.get(conn)?.filter((item) => !ignored(item)).length ?? 0;
        const taken = Math.max(0, all - (expected.get(conn)?.length ?? 0));
        const certain = Math.min(count, commonLength(recorded.get(conn) ?? [], expected.get(conn) ?? []));
        due.set(conn, Math.max(certain, count - taken));
        if (clock !== undefined) await settle(line.t);
        continue;
      }
      if (line.kind === 'note' && line.data === 'SIGTERM') {
        await settle(line.t);
        draining = server.drain();
      }
      if (line.dir !== 'c->s' || conn === undefined) continue;
      await settle(line.t);
      if (clock !== undefined && line.t > elapsedMs) {
        await clock.advance(line.t - elapsedMs);
        elapsedMs = line.t;
      }
      for (const [name, { observed }] of conversations) firstDifference(expected.get(name) ?? [], observed, ids);
      const number = transcript.name.slice(0, 2);
      await act(line, conn, { conversations, ids, server, ignored, numberings, number });
    }
    for (const [conn, items] of expected) due.set(conn, items.length);
    await settle(elapsedMs);
    // Something unexpected would follow at once.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await draining;
  } finally {
    for (const { clients } of conversations.values()) for (const client of clients) client.destroy();
  }
  return { observed: new Map([...conversations].map(([conn, { observed }]) => [conn, observed])) };
}

interface Stage extends Pick<Replay, 'server' | 'ignored'> {
  readonly conversations: Map<string, Conversation>;
  readonly ids: IdMap;
  readonly numberings: {
    readonly recorded: ReadonlyMap<string, Numbering>;
    readonly actual: Map<string, Numbering>;
  };
  readonly number: string;
}

async function act(line: Line, conn: string, stage: Stage): Promise<void> {
  const { conversations, ids, ignored, number, numberings, server } = stage;
  const numbering = numberings.actual.get(connectionOf(conn)) ?? new Numbering();
  numberings.actual.set(connectionOf(conn), numbering);
  if (line.kind === 'http') {
    const conversation = conversations.get(conn) ?? { observed: [], clients: [] };
    conversations.set(conn, conversation);
    let isAnswered = false;
    const client = new RawClient(
      server.port,
      (observed) => {
        const isIgnored = ignored(observed);
        const taken = numbering.take(observed, isIgnored);
        if (isIgnored) return;
        // A plain request's connection is of no interest once it is answered.
        if (observed.kind === 'end' && isAnswered && !client.isConnection) return;
        isAnswered ||= observed.kind === 'http';
        conversation.observed.push(taken);
      },
      ignored,
    );
    conversation.clients.push(client);
    const { method = 'GET', path = '/', headers, body } = line.data;
    const fill = async (text: string): Promise<string> => ids.apply(await withTokens(text, server));
    const filled = await Promise.all(headers.map(async ([name, value]) => [name, await fill(value)] as const));
    client.request(method, await fill(path), filled, body ?? '');
    return;
  }
  const { clients = [] } = conversations.get(conn) ?? {};
  // A stream of events goes on beside the requests that follow it.
  const client = clients.findLast(({ isStreaming }) => isStreaming) ?? clients.at(-1);
  if (client === undefined) throw new Error(`Nothing is connected as ${conn}`);
  const fragment = { isFinal: line.fin !== false };
  switch (line.kind) {
    case 'ws-text': {
      const data = withAckFor(line.data, numberings.recorded.get(connectionOf(conn)), numbering);
      const payload = payloadOf(ids.apply(data), unrecorded[`${number}:${line.t}`]);
      client.frame(line.op ?? opcode.text, payload, fragment);
      return;
    }
    case 'ws-binary':
      client.frame(line.op ?? opcode.binary, Buffer.from(line.data, 'base64'), fragment);
      return;
    case 'ws-ping':
      client.frame(opcode.ping, Buffer.from(line.data, 'base64'));
      return;
    case 'close':
      if (line.data.what === 'ws close frame') client.closeFrame(line.data.code ?? 1000, line.data.reason);
      else client.reset();
      return;
    case 'note':
      if (!line.data.startsWith(UNMASKED)) throw new Error(`Not understood: ${line.data}`);
      client.frame(opcode.text, Buffer.from(line.data.slice(UNMASKED.length)), { isMasked: false });
      return;
    default:
      throw new Error(`The replay cannot act out lines of kind ${line.kind}`);
  }
}

function payloadOf(text: string, bytes: readonly number[] | undefined): Buffer {
  if (bytes === undefined) return Buffer.from(text);
  const parts = text.split('\ufffd').map((part) => Buffer.from(part));
  return Buffer.concat(
    parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from([bytes[index - 1] ?? 0]), part])),
  );
}

async function withTokens(text: string, server: ReferenceServer): Promise<string> {
  const [, name] = /\{\{token:([\w-]+)\}\}/.exec(text) ?? [];
  const filled = name === undefined ? text : text.replace(`{{token:${name}}}`, await server.token(name));
  return filled.replace('{{host}}', `127.0.0.1:${server.port}`);
}
