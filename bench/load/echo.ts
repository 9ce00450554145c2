/**
 * Load of invocations with a result: each connection keeps some in flight, one frame for each, and sends the next when an
 * answer has come. To a bare echo server the same bytes go, and come back.
 */
import { type HubAddress, HubConnection, openAll, RECORD_SEPARATOR } from './hub-connection.ts';
import { openEach } from './open-each.ts';
import { RawWebSocket } from './raw-web-socket.ts';
import { serveLoad } from './remote.ts';
import { type MeasuredWindow, measureWhile, sleep } from './window.ts';

export interface ConnectEcho {
  readonly address: HubAddress;
  readonly serverPid: number;
  readonly kind: 'hub' | 'ws';
  /** A token for each connection. */
  readonly tokens: readonly string[];
}

export interface EchoPhase {
  /** Calls in flight of each connection. */
  readonly window: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

const TEXT = 'lorem ipsum dolor sit amet consectetur adipisici elit sed eiusmod tempor';
const RECORD = `{"type":1,"invocationId":"1","target":"Echo","arguments":["${TEXT}"]}`;
const ANSWER_WITHIN_MS = 10_000;

interface Caller {
  call(): void;
}

let callers: Caller[] = [];
let serverPid = 0;
let answered = 0;
let inFlight = 0;
let refill = false;

async function connect({ address, kind, serverPid: pid, tokens }: ConnectEcho): Promise<void> {
  serverPid = pid;
  const open =
    kind === 'hub' ? await openAll(address, tokens) : await openEach(tokens, 50, () => RawWebSocket.open(address, '/'));
  callers = open.map((connection) => {
    const call = (): void => {
      inFlight += 1;
      if (connection instanceof HubConnection) connection.send(RECORD);
      else connection.sendText(RECORD + RECORD_SEPARATOR);
    };
    connection.onFrame = (text) => {
      for (let at = text.indexOf(TEXT); at >= 0; at = text.indexOf(TEXT, at + TEXT.length)) {
        answered += 1;
        inFlight -= 1;
        if (refill) call();
      }
    };
    return { call };
  });
}

async function run({ measureMs, warmUpMs, window }: EchoPhase): Promise<MeasuredWindow> {
  refill = true;
  for (const caller of callers) for (let n = 0; n < window; n += 1) caller.call();
  await sleep(warmUpMs);
  const measured = await measureWhile(
    serverPid,
    () => sleep(measureMs),
    () => answered,
  );
  refill = false;
  const deadline = performance.now() + ANSWER_WITHIN_MS;
  while (inFlight > 0) {
    if (performance.now() > deadline) throw new Error(`${inFlight} calls were not answered`);
    await sleep(2);
  }
  return measured;
}

const handlers = { connect, run };
export type EchoLoad = typeof handlers;
serveLoad(handlers);
