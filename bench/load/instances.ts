/**
 * Load of pairs over several instances: each pair has a sender and a receiver, at addresses of their own. Closed: a sender
 * keeps a window of sends in flight, and a message is done when the sender has its answer and the receiver the message;
 * with acknowledgements, when the sender has the status too.
 */
import { cpuMicroseconds } from '../system/usage.ts';
import { type HubAddress, HubConnection } from './hub-connection.ts';
import { eachRecord, kindOf, stringArguments, stringMember } from './records.ts';
import { serveLoad } from './remote.ts';
import { sleep, until } from './window.ts';

interface End {
  readonly id: string;
  readonly token: string;
  readonly address: HubAddress;
}

export interface ConnectInstances {
  readonly pairs: readonly { readonly sender: End; readonly receiver: End }[];
}

export interface InstancesPhase {
  readonly window: number;
  readonly acknowledge: boolean;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Processes whose CPU counts, together. */
  readonly serverPids: readonly number[];
}

export interface InstancesMeasured {
  readonly seconds: number;
  readonly count: number;
  readonly serverCpuUs: number;
}

const TEXT = 'A message of eighty characters, as people write them on their way to work, mostly.'.slice(0, 80);
const DRAIN_WITHIN_MS = 20_000;

interface Sender {
  readonly connection: HubConnection;
  readonly receiverId: string;
  readonly senderId: string;
  nextId: number;
}

const senders: Sender[] = [];
let acknowledge = false;
let refill = false;
let inFlight = 0;
let done = 0;
let failure: string | undefined;
/** By message id: which parts have come. */
const parts = new Map<string, number>();

function sendOne(sender: Sender): void {
  inFlight += 1;
  const { connection, receiverId, senderId } = sender;
  const id = sender.nextId++;
  connection.send(
    `{"type":1,"invocationId":"${id}","target":"SendMessage","arguments":["${senderId}","${receiverId}","${TEXT}"]}`,
  );
}

/** The answer, the delivery and, with acknowledgements, the status come in any order. */
function onPart(sender: Sender, messageId: string): void {
  const come = (parts.get(messageId) ?? 0) + 1;
  if (come < (acknowledge ? 3 : 2)) {
    parts.set(messageId, come);
    return;
  }
  parts.delete(messageId);
  done += 1;
  inFlight -= 1;
  if (refill) sendOne(sender);
}

function onSenderRecord(sender: Sender, record: string): void {
  const kind = kindOf(record);
  if (kind === 'completion') {
    const messageId = stringMember(record, 'result');
    if (messageId === undefined) failure ??= `a send failed: ${record}`;
    else onPart(sender, messageId);
  } else if (kind === 'statusChanged' && acknowledge) {
    const [messageId] = stringArguments(record);
    if (messageId !== undefined) onPart(sender, messageId);
  }
}

async function connect({ pairs }: ConnectInstances): Promise<void> {
  for (const { receiver, sender: end } of pairs) {
    const [sending, receiving] = await Promise.all([
      HubConnection.open(end.address, end.token),
      HubConnection.open(receiver.address, receiver.token),
    ]);
    const sender: Sender = { connection: sending, senderId: end.id, receiverId: receiver.id, nextId: 0 };
    sending.onFrame = (frame) => eachRecord(frame, (record) => onSenderRecord(sender, record));
    receiving.onFrame = (frame) =>
      eachRecord(frame, (record) => {
        if (kindOf(record) !== 'receiveMessage') return;
        const [, , messageId] = stringArguments(record);
        if (messageId === undefined) return;
        if (acknowledge) receiving.send(`{"type":1,"target":"MessageReceived","arguments":["${messageId}"]}`);
        onPart(sender, messageId);
      });
    senders.push(sender);
  }
}

async function run(phase: InstancesPhase): Promise<InstancesMeasured> {
  acknowledge = phase.acknowledge;
  refill = true;
  failure = undefined;
  for (const sender of senders) for (let n = 0; n < phase.window; n += 1) sendOne(sender);
  await sleep(phase.warmUpMs);
  const cpu = (): number => phase.serverPids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
  const [startedAt, cpuBefore, doneBefore] = [performance.now(), cpu(), done];
  await sleep(phase.measureMs);
  const measured = {
    seconds: (performance.now() - startedAt) / 1000,
    count: done - doneBefore,
    serverCpuUs: cpu() - cpuBefore,
  };
  refill = false;
  const isOver = (): boolean => {
    if (failure !== undefined) throw new Error(failure);
    return inFlight === 0;
  };
  await until(isOver, DRAIN_WITHIN_MS, () => `${inFlight} messages were still not done`);
  return measured;
}

const handlers = { connect, run };
export type InstancesLoad = typeof handlers;
serveLoad(handlers);
