/**
 * Load of presence: watchers stay connected while bursts of other users come online and, when every watcher has been told,
 * go offline again. Counted is every UserStatusChanged that reaches any connection.
 */
import { type HubAddress, openAll } from './hub-connection.ts';
import { JSON_WEB_SOCKETS, openReceivers, type Receiver, type ReceiverKind, wordCounter } from './receivers.ts';
import { serveLoad } from './remote.ts';
import { type MeasuredWindow, measureWhile, repeatFor, sleep, until } from './window.ts';

export interface ConnectWatchers {
  readonly address: HubAddress;
  readonly serverPid: number;
  /** How the watchers are connected; default JSON on WebSockets, as the visitors always are. */
  readonly kind?: ReceiverKind;
  readonly watcherTokens: readonly string[];
  /** Tokens of the users that come and go. */
  readonly visitorTokens: readonly string[];
}

export interface PresencePhase {
  /** Users that come together. */
  readonly burst: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

const TOLD_WITHIN_MS = 30_000;
/** Name of the event; it occurs once in each record of either protocol. */
const EVENT = 'UserStatusChanged';

let options: ConnectWatchers | undefined;
let watchers: Receiver[] = [];
let events = 0;
let watcherEvents = 0;

async function connect(given: ConnectWatchers): Promise<void> {
  options = given;
  watchers = await openReceivers(given.kind ?? JSON_WEB_SOCKETS, given.address, given.watcherTokens, () =>
    wordCounter(EVENT, (count) => {
      events += count;
      watcherEvents += count;
    }),
  );
  await quiet();
}

/** Waits until the announcements of the watchers themselves are through. */
async function quiet(): Promise<void> {
  for (let seen = -1; seen !== events; ) {
    seen = events;
    await sleep(1000);
  }
}

async function allTold(expected: number, what: string): Promise<void> {
  const isTold = (): boolean => {
    if (watchers.some((watcher) => watcher.ended)) throw new Error('the server closed a connection');
    return watcherEvents >= expected;
  };
  await until(isTold, TOLD_WITHIN_MS, () => `${watcherEvents} of ${expected} ${what} events had reached the watchers`);
}

async function comeAndGo(burst: number): Promise<void> {
  if (options === undefined) throw new Error('connect first');
  watcherEvents = 0;
  const visitors = await openAll(options.address, options.visitorTokens.slice(0, burst));
  for (const visitor of visitors) {
    visitor.onFrame = wordCounter(EVENT, (count) => {
      events += count;
    });
  }
  await allTold(watchers.length * burst, 'Online');
  for (const visitor of visitors) visitor.close();
  await allTold(watchers.length * burst * 2, 'Offline');
}

async function run(phase: PresencePhase): Promise<MeasuredWindow> {
  if (options === undefined) throw new Error('connect first');
  await repeatFor(phase.warmUpMs, () => comeAndGo(phase.burst));
  return measureWhile(
    options.serverPid,
    () => repeatFor(phase.measureMs, () => comeAndGo(phase.burst)),
    () => events,
  );
}

const handlers = { connect, run };
export type PresenceLoad = typeof handlers;
serveLoad(handlers);
