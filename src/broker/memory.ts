/**
 * The embedded broker: event logs and fan-out within one process.
 *
 * Everything happens synchronously inside `append`, so append and publish are one step and order is the order of calls.
 * A log is bounded in events and age; what is left of an idle user is its epoch and offset, and that is forgotten after
 * a day. The process's end is the end of every epoch. Imports core only.
 */
import { randomUUID } from 'node:crypto';
import type { StreamEvent, StreamPosition, TransientEvent } from '../core/events.ts';
import type { AppendEntry, Broker, History, StreamEntry, StreamListener } from '../core/ports.ts';
import type { Clock, Timer } from '../time/clock.ts';

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  /** Most events kept per user. Default 1,000. */
  readonly maxEvents?: number;
  /** How long an event is kept, in milliseconds. Default 10 minutes. */
  readonly maxAgeMs?: number;
  /** Most events kept in all; beyond it the oldest go first, whoever's they are. Default 200,000. */
  readonly maxTotalEvents?: number;
  /** How long the place of an idle user is remembered, in milliseconds. Default 1 day. */
  readonly idleMs?: number;
}

interface Stream {
  epoch: string;
  offset: number;
  /** Oldest first; the last one has `offset`. The entry around an event is made when it is read: most never are. */
  events: StreamEvent[];
  /** When each event was appended, by the monotonic clock. */
  times: number[];
  usedAtMs: number;
  readonly listeners: Set<StreamListener>;
}

const NO_GAPS = [] as const;
const TRIM_INTERVAL_MS = 60_000;

export class MemoryBroker implements Broker, AsyncDisposable {
  readonly #clock: Clock;
  readonly #maxEvents: number;
  readonly #maxAgeMs: number;
  readonly #maxTotalEvents: number;
  readonly #idleMs: number;
  readonly #streams = new Map<string, Stream>();
  readonly #broadcastListeners = new Set<(event: TransientEvent, audience: readonly string[] | undefined) => void>();
  #timer: Timer | undefined;
  #total = 0;

  constructor(options: MemoryBrokerOptions) {
    this.#clock = options.clock;
    this.#maxEvents = options.maxEvents ?? 1000;
    this.#maxAgeMs = options.maxAgeMs ?? 600_000;
    this.#maxTotalEvents = options.maxTotalEvents ?? 200_000;
    this.#idleMs = options.idleMs ?? 86_400_000;
  }

  /** Users whose stream is remembered. */
  get streams(): number {
    return this.#streams.size;
  }

  /** One process publishes in the order of its commits, so there are no gaps. */
  append(entries: readonly AppendEntry[]): Promise<readonly []> {
    for (const { userId, event } of entries) this.#appendOne(userId, event);
    return Promise.resolve(NO_GAPS);
  }

  publishToUser(userId: string, event: TransientEvent): Promise<void> {
    for (const listener of this.#streams.get(userId)?.listeners ?? []) listener.onTransient(event);
    return Promise.resolve();
  }

  broadcast(event: TransientEvent, audience?: readonly string[]): Promise<void> {
    for (const listener of this.#broadcastListeners) listener(event, audience);
    return Promise.resolve();
  }

  subscribe(userId: string, listener: StreamListener): Promise<() => void> {
    const stream = this.#stream(userId);
    stream.listeners.add(listener);
    return Promise.resolve(() => {
      stream.listeners.delete(listener);
    });
  }

  onBroadcast(listener: (event: TransientEvent, audience: readonly string[] | undefined) => void): () => void {
    this.#broadcastListeners.add(listener);
    return () => {
      this.#broadcastListeners.delete(listener);
    };
  }

  readSince(userId: string, position: StreamPosition, limit: number): Promise<History> {
    const stream = this.#stream(userId);
    this.#trim(stream);
    const top = { epoch: stream.epoch, offset: stream.offset };
    const oldest = stream.offset - stream.events.length;
    const provable = position.epoch === stream.epoch && position.offset >= oldest && position.offset <= stream.offset;
    const missing = stream.offset - position.offset;
    if (!provable || missing > limit) return Promise.resolve({ entries: [], complete: false, top });
    const entries = (missing === 0 ? [] : stream.events.slice(-missing)).map((event, index) => ({
      position: { epoch: stream.epoch, offset: position.offset + 1 + index },
      event,
    }));
    return Promise.resolve({ entries, complete: true, top });
  }

  top(userId: string): Promise<StreamPosition> {
    const stream = this.#stream(userId);
    return Promise.resolve({ epoch: stream.epoch, offset: stream.offset });
  }

  endEpochs(userIds: readonly string[]): Promise<void> {
    for (const userId of userIds) {
      const stream = this.#stream(userId);
      this.#keepLast(stream, 0);
      stream.epoch = randomUUID();
      stream.offset = 0;
      for (const listener of stream.listeners) listener.onDoubt();
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    this.#streams.clear();
    this.#broadcastListeners.clear();
    return Promise.resolve();
  }

  #appendOne(userId: string, event: StreamEvent): void {
    const stream = this.#stream(userId);
    stream.offset += 1;
    stream.events.push(event);
    stream.times.push(stream.usedAtMs);
    this.#total += 1;
    // Cut in one go when half as much again has gathered: cheaper than shifting at every append.
    if (stream.events.length >= this.#maxEvents * 1.5) this.#keepLast(stream, this.#maxEvents);
    if (this.#total > this.#maxTotalEvents) this.#shrink();
    if (stream.listeners.size === 0) return;
    const entry: StreamEntry = { position: { epoch: stream.epoch, offset: stream.offset }, event };
    for (const listener of stream.listeners) listener.onEntry(entry);
  }

  #stream(userId: string): Stream {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#streams.get(userId);
    if (known !== undefined) {
      known.usedAtMs = nowMs;
      return known;
    }
    const stream: Stream = {
      epoch: randomUUID(),
      offset: 0,
      events: [],
      times: [],
      usedAtMs: nowMs,
      listeners: new Set(),
    };
    this.#streams.set(userId, stream);
    this.#timer ??= this.#clock.schedule(TRIM_INTERVAL_MS, () => this.#trimAll());
    return stream;
  }

  #trim(stream: Stream, maxAgeMs = this.#maxAgeMs): void {
    const oldestMs = this.#clock.monotonicMs() - maxAgeMs;
    if (stream.events.length > this.#maxEvents) this.#keepLast(stream, this.#maxEvents);
    const first = stream.times[0];
    if (first === undefined || first >= oldestMs) return;
    const keepFrom = stream.times.findIndex((atMs) => atMs >= oldestMs);
    this.#keepLast(stream, keepFrom === -1 ? 0 : stream.events.length - keepFrom);
  }

  #keepLast(stream: Stream, count: number): void {
    this.#total -= stream.events.length - count;
    stream.events = count === 0 ? [] : stream.events.slice(-count);
    stream.times = count === 0 ? [] : stream.times.slice(-count);
  }

  /** Lowers the age that is kept until a quarter of the room is free again, so that it runs seldom. */
  #shrink(): void {
    for (let ageMs = this.#maxAgeMs / 2; this.#total > this.#maxTotalEvents * 0.75; ageMs = Math.floor(ageMs / 2)) {
      for (const stream of this.#streams.values()) {
        if (ageMs > 0) this.#trim(stream, ageMs);
        else this.#keepLast(stream, Math.floor(stream.events.length / 2));
      }
    }
  }

  #trimAll(): void {
    const idleSinceMs = this.#clock.monotonicMs() - this.#idleMs;
    for (const [userId, stream] of this.#streams) {
      this.#trim(stream);
      if (stream.listeners.size === 0 && stream.events.length === 0 && stream.usedAtMs < idleSinceMs) {
        this.#streams.delete(userId);
      }
    }
    this.#timer = this.#streams.size > 0 ? this.#clock.schedule(TRIM_INTERVAL_MS, () => this.#trimAll()) : undefined;
  }
}
