/**
 * The sharded channels that this instance listens to: one per user with listeners here, and the one of broadcasts.
 *
 * After any loss of a subscription (connection lost, slot moved, connection that does not answer) the stream is
 * subscribed again and its listeners are told to doubt. What Redis loses without a word (an evicted key, a log restored
 * from an older file, a publish that went nowhere) is found by looking at the places of all streams every few seconds:
 * a ping on the subscription's connection, sent after a place was read, is answered after everything that was published
 * before it.
 */

import type { StreamPosition, TransientEvent } from '../../core/events.ts';
import type { StreamListener } from '../../core/ports.ts';
import type { Clock, Timer } from '../../time/clock.ts';
import type { RedisClient } from './link.ts';
import { type Names, slotOf } from './names.ts';
import { LocalStream } from './stream.ts';
import type { Shard, Topology } from './topology.ts';
import { decodeChannelMessage, decodePlace, type RecentEvents } from './wire.ts';

export type BroadcastListener = (event: TransientEvent, audience: readonly string[] | undefined) => void;

export interface SubscriptionsOptions {
  readonly names: Names;
  readonly topology: Topology;
  readonly clock: Clock;
  readonly checkMs: number;
  readonly idleMs: number;
  readonly events: RecentEvents;
  /** Ends the epoch of a stream whose log was rolled back. */
  readonly endEpoch: (stream: LocalStream, epoch: string) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** Streams that are subscribed again, or looked at, in one go. */
const CHUNK = 500;

export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  /** By channel. */
  readonly #streams = new Map<string, LocalStream>();
  readonly #broadcast: LocalStream;
  readonly #broadcastListeners = new Set<{
    readonly hear: BroadcastListener;
    readonly onDeaf: (deafMs: number) => void;
  }>();
  /** Since when broadcasts are not heard, by the monotonic clock. */
  #deafSinceMs: number | undefined;
  /** What a connection calls for every message. One per connection, so that what an old one still brings is told apart. */
  readonly #handlers = new WeakMap<RedisClient, (payload: string, channel: string) => void>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    const channel = options.names.broadcast;
    this.#broadcast = this.#newStream({ channel, place: channel, log: channel, seqs: channel });
    this.#streams.set(channel, this.#broadcast);
    this.#broadcast.listeners.add({ onEntry: () => {}, onTransient: () => {}, onDoubt: () => this.#hearAgain() });
  }

  /** Users with listeners here. */
  get size(): number {
    return this.#streams.size - 1;
  }

  /** Begins with broadcasts and the regular look at the places. @throws if the subscription is refused. */
  async open(): Promise<void> {
    this.#schedule();
    const client = this.#options.topology.shardOf(this.#broadcast.slot)?.subscriptions.client;
    if (client === undefined) throw new Error('Redis is away');
    if (!this.#broadcast.live) await this.#ask(this.#broadcast, client);
  }

  async subscribe(userId: string, listener: StreamListener): Promise<() => void> {
    const names = this.#options.names.of(userId);
    let stream = this.#streams.get(names.channel);
    if (stream === undefined) {
      stream = this.#newStream(names);
      this.#streams.set(names.channel, stream);
      this.#place(stream);
    }
    const subscribed = stream;
    subscribed.listeners.add(listener);
    await subscribed.settled();
    return () => {
      if (subscribed.listeners.delete(listener) && subscribed.listeners.size === 0) this.#forget(subscribed);
    };
  }

  onBroadcast(hear: BroadcastListener, onDeaf: (deafMs: number) => void = () => undefined): () => void {
    const listener = { hear, onDeaf };
    this.#broadcastListeners.add(listener);
    return () => void this.#broadcastListeners.delete(listener);
  }

  /** Whether there are listeners here to what goes through this channel. */
  hears(channel: string): boolean {
    return this.#streams.has(channel);
  }

  /** A listener of this user may have read the stream's place. */
  noteRead(channel: string, top: StreamPosition): void {
    this.#streams.get(channel)?.noteRead(top);
  }

  onUp(shard: Shard, client: RedisClient): void {
    client.on('sharded-channel-moved', (channel: string) => {
      const stream = this.#streams.get(channel);
      if (stream?.client !== client) return;
      this.#interrupt(stream);
      void this.#options.topology.refresh().then(() => this.#place(stream));
    });
    void this.#askAll(
      [...this.#streams.values()].filter((stream) => this.#options.topology.shardOf(stream.slot) === shard),
      client,
    );
  }

  onDown(client: RedisClient): void {
    for (const stream of this.#streams.values()) if (stream.client === client) this.#interrupt(stream);
  }

  /** Slots have moved: what is subscribed at the wrong server goes to the right one. */
  onChange(): void {
    for (const stream of this.#streams.values()) {
      const client = this.#options.topology.shardOf(stream.slot)?.subscriptions.client;
      if (client !== undefined && client === stream.client) continue;
      this.#subscribeAnew(stream);
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const stream of this.#streams.values()) this.#interrupt(stream);
    this.#streams.clear();
    this.#broadcastListeners.clear();
  }

  #interrupt(stream: LocalStream): void {
    if (stream === this.#broadcast) this.#deafSinceMs ??= this.#options.clock.monotonicMs();
    stream.interrupt();
  }

  /** Broadcasts have no log to read them from: whoever said something must say it again. */
  #hearAgain(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const deafMs = nowMs - (this.#deafSinceMs ?? nowMs);
    this.#deafSinceMs = undefined;
    for (const { onDeaf } of this.#broadcastListeners) this.#guard(() => onDeaf(deafMs));
  }

  #newStream(names: LocalStream['names']): LocalStream {
    const { clock, onError } = this.#options;
    return new LocalStream(names, slotOf(names.channel), clock.monotonicMs(), onError);
  }

  /** Something was published and not heard: maybe the subscription is not what it is taken for. The listeners are told to doubt. */
  #subscribeAnew(stream: LocalStream): void {
    this.#leave(stream);
    this.#interrupt(stream);
    this.#place(stream);
  }

  /** Subscribes at the server that has the slot, if it is there; else that follows when it comes back. */
  #place(stream: LocalStream): void {
    const client = this.#options.topology.shardOf(stream.slot)?.subscriptions.client;
    if (client === undefined) this.#interrupt(stream);
    else this.#ask(stream, client).catch((error: unknown) => this.#refused(stream, client, error));
  }

  async #askAll(streams: readonly LocalStream[], client: RedisClient): Promise<void> {
    for (let from = 0; from < streams.length; from += CHUNK) {
      const chunk = streams.slice(from, from + CHUNK).filter((stream) => stream.client !== client);
      await Promise.all(
        chunk.map((stream) =>
          this.#ask(stream, client).catch((error: unknown) => this.#refused(stream, client, error)),
        ),
      );
    }
  }

  async #ask(stream: LocalStream, client: RedisClient): Promise<void> {
    const { channel } = stream.names;
    if (this.#streams.get(channel) !== stream) return;
    stream.client = client;
    await client.sSubscribe(channel, this.#handler(client));
    if (stream.client === client && this.#streams.get(channel) === stream) stream.begin();
  }

  #refused(stream: LocalStream, client: RedisClient, error: unknown): void {
    if (stream.client !== client) return;
    this.#interrupt(stream);
    this.#options.onError(error);
    // The next look at the places tries again; a slot that has moved need not wait for it.
    if (error instanceof Error && error.message.startsWith('MOVED')) void this.#options.topology.refresh();
  }

  #forget(stream: LocalStream): void {
    if (this.#streams.get(stream.names.channel) === stream) this.#streams.delete(stream.names.channel);
    this.#leave(stream);
    this.#interrupt(stream);
  }

  #leave(stream: LocalStream): void {
    const { client } = stream;
    if (client?.isReady) client.sUnsubscribe(stream.names.channel, this.#handler(client)).catch(() => undefined);
  }

  #handler(client: RedisClient): (payload: string, channel: string) => void {
    const known = this.#handlers.get(client);
    if (known !== undefined) return known;
    const handler = (payload: string, channel: string): void => {
      const stream = this.#streams.get(channel);
      if (stream?.client === client) this.#hear(stream, payload);
    };
    this.#handlers.set(client, handler);
    return handler;
  }

  #hear(stream: LocalStream, payload: string): void {
    const message = decodeChannelMessage(payload, this.#options.events);
    if (message === undefined) {
      this.#options.onError(new Error('A message on a Redis channel is not one of this server'));
      stream.doubt();
    } else if (message.type === 'broadcast') {
      if (stream === this.#broadcast) this.#tellAll(message.event, message.audience);
    } else if (message.type === 'transient') {
      stream.hearTransient(message.event);
    } else if (message.type === 'newEpoch') {
      stream.doubt();
    } else if (!stream.hear(message.entries)) {
      this.#rolledBack(stream, message.entries[0]?.position.epoch ?? '');
    }
  }

  #tellAll(event: TransientEvent, audience: readonly string[] | undefined): void {
    for (const { hear } of this.#broadcastListeners) this.#guard(() => hear(event, audience));
  }

  #guard(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** Positions of the epoch prove nothing any more: it must end before anybody reads on from one. */
  #rolledBack(stream: LocalStream, epoch: string): void {
    this.#options.onError(new Error('A log in Redis was set back to an older state'));
    this.#options
      .endEpoch(stream, epoch)
      .catch(this.#options.onError)
      .finally(() => stream.doubt());
  }

  #schedule(): void {
    if (this.#closed) return;
    const { clock, checkMs, onError } = this.#options;
    this.#timer = clock.schedule(checkMs, () => {
      void this.check()
        .catch(onError)
        .finally(() => this.#schedule());
    });
  }

  /** Looks at the places of all streams once. */
  async check(): Promise<void> {
    const { topology } = this.#options;
    await topology.refresh();
    const byShard = new Map<Shard, LocalStream[]>();
    for (const stream of this.#streams.values()) {
      const shard = topology.shardOf(stream.slot);
      if (shard === undefined) continue;
      if (stream.client === undefined) this.#place(stream);
      else if (stream.live && stream !== this.#broadcast) group(byShard, shard).push(stream);
    }
    await Promise.all([...byShard].map(([shard, streams]) => this.#checkShard(shard, streams)));
  }

  async #checkShard(shard: Shard, streams: readonly LocalStream[]): Promise<void> {
    for (let from = 0; from < streams.length && !this.#closed; from += CHUNK) {
      const chunk = streams.slice(from, from + CHUNK);
      const commands = shard.commands.client;
      const subscriptions = shard.subscriptions.client;
      if (commands === undefined || subscriptions === undefined) return;
      const before = chunk.map((stream) => stream.known);
      const places = await this.#readPlaces(commands, chunk);
      await subscriptions.ping();
      for (const [index, stream] of chunk.entries()) {
        if (!stream.live || stream.client !== subscriptions) continue;
        const seen = before[index];
        const finding = stream.compare(seen, decodePlace(places[index]));
        if (finding === 'lost') this.#subscribeAnew(stream);
        else if (finding === 'rolledBack') this.#rolledBack(stream, seen?.epoch ?? '');
      }
    }
  }

  async #readPlaces(client: RedisClient, streams: readonly LocalStream[]): Promise<readonly unknown[]> {
    const { clock, idleMs, topology } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const stream of streams) {
      if (nowMs - stream.touchedAtMs < idleMs / 4) continue;
      stream.touchedAtMs = nowMs;
      client.pExpire(stream.names.place, idleMs).catch(this.#options.onError);
    }
    // On a cluster one command may not name keys of several slots.
    if (topology.isSingle) return client.mGet(streams.map((stream) => stream.names.place));
    return Promise.all(streams.map((stream) => client.get(stream.names.place)));
  }
}

function group(map: Map<Shard, LocalStream[]>, shard: Shard): LocalStream[] {
  const known = map.get(shard) ?? [];
  map.set(shard, known);
  return known;
}
