/**
 * Load of the pairs: every connection sends to its partner. Closed (each keeps a window of sends in flight, the next
 * follows when one is done) or paced (a steady rate over all connections, whatever is in flight).
 *
 * A send is done when its completion has come and, with acknowledgements, also the sender's MessageStatusChanged. The
 * acknowledgement is the receiver's MessageReceived as a non-blocking invocation (no id, no completion).
 */

import { percentile } from '../statistics.ts';
import { type HubAddress, type HubConnection, openAll } from './hub-connection.ts';
import { eachRecord, kindOf, stringArguments, stringMember } from './records.ts';
import { serveLoad } from './remote.ts';
import { type MeasuredWindow, measureWhile, sleep, until } from './window.ts';

export interface ConnectPairs {
  readonly address: HubAddress;
  readonly serverPid: number;
  /** User ids, partner beside partner, with their tokens. */
  readonly users: readonly { readonly id: string; readonly token: string }[];
}

export interface PairsPhase {
  readonly acknowledge: boolean;
  /** Sends in flight per connection, or messages per second over all connections. */
  readonly pace: { readonly window: number } | { readonly perSecond: number };
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface PairsMeasured extends MeasuredWindow {
  /** From before the write of the send to the receiver's reading of the event, in milliseconds. */
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
}

const MESSAGE_CHARACTERS = 70;
const TIME_CHARACTERS = 16;
const PADDING = '-lorem-ipsum-dolor-sit-amet-consectetur-adipisici-elit-sed-eiusmod-tempor'.slice(
  0,
  MESSAGE_CHARACTERS - TIME_CHARACTERS,
);
const DRAIN_WITHIN_MS = 10_000;

interface Peer {
  readonly connection: HubConnection;
  /** Everything of a SendMessage record that does not change, around the invocation id and the time. */
  readonly beforeText: string;
  nextId: number;
  inFlight: number;
  /** Message ids of which one half (completion or status) has come. */
  readonly halfDone: Set<string>;
}

let peers: Peer[] = [];
let serverPid = 0;
let acknowledge = false;
let refill = false;
let done = 0;
let failure: string | undefined;
let latenciesMs: number[] = [];

function sendOne(peer: Peer): void {
  peer.inFlight++;
  const time = performance.now().toFixed(3).padStart(TIME_CHARACTERS, '0');
  const id = peer.nextId++;
  peer.connection.send(`{"type":1,"invocationId":"${id}${peer.beforeText}${time}${PADDING}"]}`);
}

function onDone(peer: Peer): void {
  done++;
  peer.inFlight--;
  if (refill) sendOne(peer);
}

function onHalf(peer: Peer, messageId: string): void {
  if (peer.halfDone.delete(messageId)) onDone(peer);
  else peer.halfDone.add(messageId);
}

function onRecord(peer: Peer, record: string): void {
  switch (kindOf(record)) {
    case 'completion': {
      const messageId = stringMember(record, 'result');
      if (messageId === undefined) failure ??= `a send failed: ${record}`;
      else if (acknowledge) onHalf(peer, messageId);
      else onDone(peer);
      return;
    }
    case 'receiveMessage': {
      const [, text, messageId] = stringArguments(record);
      latenciesMs.push(performance.now() - Number(text?.slice(0, TIME_CHARACTERS)));
      if (acknowledge) peer.connection.send(`{"type":1,"target":"MessageReceived","arguments":["${messageId}"]}`);
      return;
    }
    case 'statusChanged': {
      const [messageId] = stringArguments(record);
      if (acknowledge && messageId !== undefined) onHalf(peer, messageId);
      return;
    }
    case 'other':
  }
}

async function connect(options: ConnectPairs): Promise<number> {
  serverPid = options.serverPid;
  const connections = await openAll(
    options.address,
    options.users.map((user) => user.token),
  );
  peers = connections.map((connection, index) => {
    const sender = options.users[index]?.id ?? '';
    const receiver = options.users[index ^ 1]?.id ?? '';
    const peer: Peer = {
      connection,
      beforeText: `","target":"SendMessage","arguments":["${sender}","${receiver}","`,
      nextId: 0,
      inFlight: 0,
      halfDone: new Set(),
    };
    connection.onFrame = (frame) => eachRecord(frame, (record) => onRecord(peer, record));
    return peer;
  });
  return peers.length;
}

/** Sends what is due since the last tick, one connection after the other. */
function pace(perSecond: number): () => void {
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    for (const due = ((performance.now() - startedAt) / 1000) * perSecond; sent < due; sent++) {
      const peer = peers[sent % peers.length];
      if (peer !== undefined) sendOne(peer);
    }
  }, 1);
  return () => clearInterval(timer);
}

async function run(phase: PairsPhase): Promise<PairsMeasured> {
  acknowledge = phase.acknowledge;
  failure = undefined;
  let stopPacing = (): void => undefined;
  if ('window' in phase.pace) {
    refill = true;
    for (const peer of peers) for (let i = 0; i < phase.pace.window; i++) sendOne(peer);
  } else {
    refill = false;
    stopPacing = pace(phase.pace.perSecond);
  }
  await sleep(phase.warmUpMs);
  latenciesMs = [];
  const measured = await measureWhile(
    serverPid,
    () => sleep(phase.measureMs),
    () => done,
  );
  const taken = latenciesMs;
  latenciesMs = [];
  stopPacing();
  refill = false;
  await drain();
  return { ...measured, latencyP50Ms: percentile(taken, 50), latencyP99Ms: percentile(taken, 99) };
}

/** Waits until nothing is in flight, so that the next phase begins with a quiet server. */
async function drain(): Promise<void> {
  const inFlight = (): number => peers.reduce((sum, peer) => sum + peer.inFlight, 0);
  const isOver = (): boolean => {
    if (failure !== undefined) throw new Error(failure);
    if (peers.some((peer) => peer.connection.ended)) throw new Error('the server closed a connection');
    return inFlight() === 0;
  };
  await until(isOver, DRAIN_WITHIN_MS, () => `${inFlight()} sends were still not done`);
}

const handlers = { connect, run };
export type PairsLoad = typeof handlers;
serveLoad(handlers);
