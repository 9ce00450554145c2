/** Load of history: a reader asks for the newest page of one conversation after the other, over a few connections. */
import { percentile } from '../statistics.ts';
import { type HubAddress, type HubConnection, openAll } from './hub-connection.ts';
import { serveLoad } from './remote.ts';
import { type MeasuredWindow, measureWhile, sleep } from './window.ts';

export interface ConnectReader {
  readonly address: HubAddress;
  readonly serverPid: number;
  readonly readerId: string;
  readonly token: string;
  readonly connections: number;
  /** The other person of each conversation, in the order of asking. */
  readonly otherIds: readonly string[];
  readonly pageSize: number;
}

export interface PagesMeasured extends MeasuredWindow {
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
}

let options: ConnectReader | undefined;
let connections: HubConnection[] = [];
let going = false;
let failure: Error | undefined;
let done = 0;
let nextOther = 0;
let latenciesMs: number[] = [];

async function connect(given: ConnectReader): Promise<void> {
  options = given;
  connections = await openAll(given.address, new Array(given.connections).fill(given.token));
  for (const connection of connections) {
    const answer = await fetchPage(connection);
    const page = (JSON.parse(answer) as { readonly result?: unknown }).result;
    if (!Array.isArray(page) || page.length !== given.pageSize) {
      throw new Error(`expected a page of ${given.pageSize} messages, got ${answer.slice(0, 200)}`);
    }
  }
}

/** Asks for a page and waits for its completion, which may come in several frames. */
function fetchPage(connection: HubConnection): Promise<string> {
  return new Promise((resolve, reject) => {
    if (options === undefined) return reject(new Error('connect first'));
    const other = options.otherIds[nextOther++ % options.otherIds.length];
    let text = '';
    connection.onFrame = (frame) => {
      text += frame;
      if (!text.endsWith('\u001e')) return;
      const answer = text.split('\u001e').find((record) => record.includes('"invocationId":"page"'));
      text = '';
      if (answer === undefined) return;
      if (answer.includes('"error":')) reject(new Error(answer));
      else resolve(answer);
    };
    const page = `"${options.readerId}","${other}",0,${options.pageSize}`;
    connection.send(`{"type":1,"invocationId":"page","target":"GetMessageHistory","arguments":[${page}]}`);
  });
}

async function readOn(connection: HubConnection): Promise<void> {
  while (going) {
    const askedAt = performance.now();
    await fetchPage(connection);
    latenciesMs.push(performance.now() - askedAt);
    done++;
  }
}

async function run(phase: { readonly warmUpMs: number; readonly measureMs: number }): Promise<PagesMeasured> {
  if (options === undefined) throw new Error('connect first');
  going = true;
  failure = undefined;
  const readers = Promise.all(connections.map(readOn)).catch((error: Error) => {
    failure = error;
  });
  await sleep(phase.warmUpMs);
  latenciesMs = [];
  const measured = await measureWhile(
    options.serverPid,
    () => sleep(phase.measureMs),
    () => done,
  );
  const taken = latenciesMs;
  going = false;
  await readers;
  if (failure !== undefined) throw failure;
  return { ...measured, latencyP50Ms: percentile(taken, 50), latencyP99Ms: percentile(taken, 99) };
}

const handlers = { connect, run };
export type PagesLoad = typeof handlers;
serveLoad(handlers);
