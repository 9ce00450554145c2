/**
 * The Redis broker: event logs and fan-out for any number of instances, on one server or a Redis Cluster.
 *
 * An append and its publish are one script, so what subscribers hear has the order of the log. While Redis is away every
 * call rejects at once; the publisher repeats its appends, and an append that was sent but not answered finds what it
 * wrote the first time by the ids of its entries, so that a repeat is no double. A log that may have lost something (a
 * restarted server, a promoted replica, an evicted key, an older file restored) is never gone on with: its epoch ends,
 * and positions of it prove nothing. Imports core only, and node-redis.
 */
import { randomBytes } from 'node:crypto';
import type { StreamEvent, StreamPosition, TransientEvent } from '../../core/events.ts';
import type { AppendEntry, Broker, History, StreamEntry, StreamGap, StreamListener } from '../../core/ports.ts';
import { type Clock, systemClock } from '../../time/clock.ts';
import { DEFAULT_PREFIX, Names, type StreamNames, slotOf } from './names.ts';
import { orderOf } from './ordered-entries.ts';
import { APPEND, END_EPOCH, READ, type Script, TOP } from './scripts.ts';
import { inspectServer, parseAddress, type TlsTrust, trial } from './start.ts';
import { type BroadcastListener, Subscriptions } from './subscriptions.ts';
import { NotSentError, Topology } from './topology.ts';
import { decodeStreamEvent, encodeBroadcast, encodeEvent, encodeTransient, RecentEvents } from './wire.ts';

export interface RedisBrokerOptions {
  /** `redis://` or `rediss://` (TLS), with user, password and database if needed. A Redis Cluster is recognised. */
  readonly url: string;
  /** Begins every key and channel. Default `carepro_`. */
  readonly prefix?: string;
  readonly clock?: Clock;
  /** Events kept per user, at least; up to a hundred more may be. Default 1,000. */
  readonly maxEvents?: number;
  /** How long an event is kept, in milliseconds. Default 10 minutes. */
  readonly maxAgeMs?: number;
  /** How long the place of an idle user is remembered, in milliseconds. Default 1 day. */
  readonly idleMs?: number;
  /** Time between two looks at the places of the streams listened to, in milliseconds. Default 10,000. */
  readonly checkMs?: number;
  /** Longest wait for an answer before a connection is given up, in milliseconds. Default 3,000. */
  readonly deadlineMs?: number;
  /** Time between pings, in milliseconds. Default 2,000. */
  readonly pingMs?: number;
  /** Certificates to trust for `rediss://` beyond those Node trusts, and the name to expect. */
  readonly tls?: TlsTrust;
  /** Told of lost connections and of what came that is not ours. Never carries credentials. */
  readonly onError?: (error: unknown) => void;
}

interface UserAppend {
  readonly userId: string;
  readonly names: StreamNames;
  readonly slot: number;
  readonly entries: AppendEntry[];
  /** An id for each entry. */
  readonly ids: string[];
  /** The script's arguments for all entries. */
  readonly args: string[];
}

/** Entries in one script: about a millisecond of the server's time, in which it does nothing else. */
const MAX_ENTRIES_PER_SCRIPT = 200;
/** Slots that share a lane are alike but for this many bits: 64 lanes. */
const LANE_BITS = 8;

/** Connects, checks that the server can do what is needed, and answers a broker. @throws RedisStartError with what to do. */
export async function openRedisBroker(options: RedisBrokerOptions): Promise<RedisBroker> {
  const address = parseAddress(options.url, options.tls);
  const times = { deadlineMs: options.deadlineMs ?? 3000, pingMs: options.pingMs ?? 2000 };
  const clock = options.clock ?? systemClock;
  const { cluster } = await inspectServer(address, clock, times);
  const broker = new RedisBroker(options, address.client, times);
  try {
    await trial(address, () => broker.open(address.host, address.port, cluster));
  } catch (error) {
    await broker[Symbol.asyncDispose]();
    throw error;
  }
  return broker;
}

export class RedisBroker implements Broker, AsyncDisposable {
  readonly #names: Names;
  readonly #topology: Topology;
  readonly #subscriptions: Subscriptions;
  readonly #maxEvents: string;
  readonly #maxAgeMs: string;
  readonly #idleMs: string;
  readonly #events = new RecentEvents();
  readonly #self = randomBytes(9).toString('base64url');
  /** Ids of entries whose append was sent and not answered with yes. */
  readonly #unsure = new WeakMap<AppendEntry, string>();
  /** Entries of appends that failed in part, which are in their logs. */
  readonly #taken = new WeakSet<AppendEntry>();
  #counter = 0;

  /** Use `openRedisBroker`. */
  constructor(
    options: RedisBrokerOptions,
    client: ConstructorParameters<typeof Topology>[0]['client'],
    times: ConstructorParameters<typeof Topology>[0]['times'],
  ) {
    const clock = options.clock ?? systemClock;
    const onError = options.onError ?? (() => undefined);
    const idleMs = options.idleMs ?? 86_400_000;
    this.#names = new Names(options.prefix ?? DEFAULT_PREFIX);
    this.#maxEvents = String(options.maxEvents ?? 1000);
    this.#maxAgeMs = String(options.maxAgeMs ?? 600_000);
    this.#idleMs = String(idleMs);
    this.#topology = new Topology(
      { client, clock, times },
      {
        onSubscriptionsUp: (shard, connection) => this.#subscriptions.onUp(shard, connection),
        onSubscriptionsDown: (connection) => this.#subscriptions.onDown(connection),
        onChange: () => this.#subscriptions.onChange(),
        onError,
      },
    );
    this.#subscriptions = new Subscriptions({
      names: this.#names,
      topology: this.#topology,
      clock,
      checkMs: options.checkMs ?? 10_000,
      idleMs,
      events: this.#events,
      endEpoch: async (stream, epoch) => void (await this.#endEpoch(stream.names, epoch)),
      onError,
    });
  }

  /** Users with listeners here. */
  get subscribedUsers(): number {
    return this.#subscriptions.size;
  }

  /** Connects, and shows by a trial append that everything needed is allowed. Call once. */
  async open(host: string, port: number, cluster: boolean): Promise<void> {
    await this.#topology.open(host, port, cluster);
    const { channel, place, log, seqs } = this.#names.trial;
    const ofTrial = ['1', '1000', '1000', this.#newId(), '1', '1', '-', '{}', 'message', 'x', '', '0', '1', ''];
    await this.#topology.run(APPEND, slotOf(channel), [place, log, channel, seqs], ofTrial);
    await this.#subscriptions.open();
  }

  async append(entries: readonly AppendEntry[]): Promise<readonly StreamGap[]> {
    const users = this.#groupByUser(entries);
    const scripts = this.#topology.isSingle ? joinSmall(users) : users.map((user) => [user]);
    const outcomes = await Promise.allSettled(scripts.map((group) => this.#appendGroup(group)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed === undefined)
      return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') continue;
      // What was left before a gap goes again with the rest.
      const left = new Set(outcome.value.flatMap((gap) => gap.entries));
      for (const user of scripts[index] ?? [])
        for (const entry of user.entries) if (!left.has(entry)) this.#taken.add(entry);
    }
    throw failed.reason;
  }

  /** On a cluster, by ranges of slots much smaller than a server's; users of one server share nothing but it. */
  laneOf(userId: string): number {
    return this.#topology.isSingle ? 0 : slotOf(this.#names.channelOf(userId)) >> LANE_BITS;
  }

  async publishToUser(userId: string, event: TransientEvent): Promise<void> {
    await this.#topology.publish(this.#names.channelOf(userId), encodeTransient(event));
  }

  async broadcast(event: TransientEvent, audience?: readonly string[]): Promise<void> {
    await this.#topology.publish(this.#names.broadcast, encodeBroadcast(event, audience));
  }

  subscribe(userId: string, listener: StreamListener): Promise<() => void> {
    return this.#subscriptions.subscribe(userId, listener);
  }

  onBroadcast(listener: BroadcastListener, onDeaf?: (deafMs: number) => void): () => void {
    return this.#subscriptions.onBroadcast(listener, onDeaf);
  }

  async readSince(userId: string, position: StreamPosition, limit: number): Promise<History> {
    const names = this.#names.of(userId);
    const args = [position.epoch, String(position.offset), String(limit), this.#maxEvents, this.#maxAgeMs];
    const reply = await this.#run(READ, names, [names.place, names.log], args);
    if (!Array.isArray(reply)) return { entries: [], complete: false, top: await this.top(userId) };
    const [epoch, offset, complete, ...texts] = reply as unknown[];
    const top = { epoch: String(epoch), offset: Number(offset) };
    this.#subscriptions.noteRead(names.channel, top);
    if (complete !== 1) return { entries: [], complete: false, top };
    const entries: StreamEntry[] = [];
    for (const [index, text] of texts.entries()) {
      const event = decodeStreamEvent(text);
      if (event === undefined) return { entries: [], complete: false, top };
      entries.push({ position: { epoch: top.epoch, offset: position.offset + 1 + index }, event });
    }
    return { entries, complete: true, top };
  }

  async top(userId: string): Promise<StreamPosition> {
    const names = this.#names.of(userId);
    const reply = await this.#run(TOP, names, [names.place, names.log, names.seqs], [this.#newId(), this.#idleMs]);
    const [epoch, offset] = Array.isArray(reply) ? (reply as unknown[]) : [];
    if (typeof epoch !== 'string' || typeof offset !== 'number') throw new Error('Redis answered no place');
    const top = { epoch, offset };
    this.#subscriptions.noteRead(names.channel, top);
    return top;
  }

  async endEpochs(userIds: readonly string[]): Promise<void> {
    await Promise.all(userIds.map((userId) => this.#endEpoch(this.#names.of(userId), '')));
  }

  /** Looks at the places of all streams listened to once, as happens every `checkMs`. */
  check(): Promise<void> {
    return this.#subscriptions.check();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.close();
    this.#topology.close();
    return Promise.resolve();
  }

  #groupByUser(entries: readonly AppendEntry[]): UserAppend[] {
    const users = new Map<string, UserAppend>();
    let event: StreamEvent | undefined;
    let text = '';
    let isNoted = false;
    for (const entry of entries) {
      if (this.#taken.has(entry)) continue;
      if (entry.event !== event) {
        event = entry.event;
        text = encodeEvent(event);
        isNoted = false;
      }
      let user = users.get(entry.userId);
      if (user === undefined) {
        const names = this.#names.of(entry.userId);
        const slot = this.#topology.isSingle ? 0 : slotOf(names.channel);
        user = { userId: entry.userId, names, slot, entries: [], ids: [], args: [] };
        users.set(entry.userId, user);
      }
      if (!isNoted && this.#subscriptions.hears(user.names.channel)) {
        this.#events.note(text, event);
        isNoted = true;
      }
      user.entries.push(entry);
      const id = this.#unsure.get(entry) ?? this.#newId();
      user.ids.push(id);
      user.args.push(id, text, ...orderOf(entry));
    }
    return [...users.values()];
  }

  async #appendGroup(group: readonly UserAppend[]): Promise<StreamGap[]> {
    const [first] = group;
    if (first === undefined) return [];
    const keys: string[] = [];
    const again = group.some((user) => user.entries.some((entry) => this.#unsure.has(entry))) ? '1' : '0';
    const args = [this.#maxEvents, this.#maxAgeMs, this.#idleMs, this.#newId(), again];
    for (const { names, entries, args: texts } of group) {
      keys.push(names.place, names.log, names.channel, names.seqs);
      args.push(String(entries.length));
      for (const text of texts) args.push(text);
    }
    try {
      return toGaps(await this.#topology.run(APPEND, first.slot, keys, args), group);
    } catch (error) {
      // To look for what may be there costs Redis a read of the log: not for what was never sent.
      if (error instanceof NotSentError) throw error;
      for (const user of group) {
        for (const [index, entry] of user.entries.entries()) this.#unsure.set(entry, user.ids[index] ?? '');
      }
      throw error;
    }
  }

  #endEpoch(names: StreamNames, epoch: string): Promise<unknown> {
    const keys = [names.place, names.log, names.channel, names.seqs];
    return this.#run(END_EPOCH, names, keys, [this.#newId(), this.#idleMs, epoch]);
  }

  #run(script: Script, names: StreamNames, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#topology.run(script, slotOf(names.channel), keys, args);
  }

  /** Unlike every other of every instance: an entry's id, or an epoch. */
  #newId(): string {
    this.#counter += 1;
    return `${this.#self}${this.#counter.toString(36)}`;
  }
}

/** @throws Error if the answer is not that of the script. */
function toGaps(reply: unknown, group: readonly UserAppend[]): StreamGap[] {
  if (!Array.isArray(reply)) throw new Error('Redis answered an append with something else');
  const gaps: StreamGap[] = [];
  for (let at = 0; at < reply.length; at += 3) {
    const user = group[Number(reply[at])];
    const entries = user?.entries.slice(Number(reply[at + 1])) ?? [];
    const afterSeq = Number(reply[at + 2]);
    if (user !== undefined) gaps.push({ userId: user.userId, entries, ...(afterSeq >= 0 && { afterSeq }) });
  }
  return gaps;
}

/** Puts users together into scripts of a bounded size, in order. */
function joinSmall(users: readonly UserAppend[]): UserAppend[][] {
  const groups: UserAppend[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const user of users) {
    if (size + user.entries.length > MAX_ENTRIES_PER_SCRIPT) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(user);
    size += user.entries.length;
  }
  return groups;
}
