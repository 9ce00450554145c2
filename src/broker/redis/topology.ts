/**
 * The servers behind the address: one, or the masters of a Redis Cluster with the slots of each.
 *
 * Every shard has two links, since a connection that Redis cuts for its backlog of published messages must not take the
 * commands with it. On a cluster the map of slots is read again whenever a server says `MOVED` or goes away, and from
 * time to time; `onChange` is called when slots have moved.
 */
import type { Clock } from '../../time/clock.ts';
import { type ClientOptions, Link, type LinkTimes, type RedisClient } from './link.ts';
import { slotOf } from './names.ts';
import { SCRIPTS, type Script } from './scripts.ts';

export interface Shard {
  /** `host:port`. */
  readonly id: string;
  readonly commands: Link;
  readonly subscriptions: Link;
}

export interface TopologyListener {
  onSubscriptionsUp(shard: Shard, client: RedisClient): void;
  onSubscriptionsDown(client: RedisClient): void;
  /** Slots belong to other shards than before. */
  onChange(): void;
  onError(error: unknown): void;
}

/** The command was not sent, or was refused by servers that do not have its slot: it changed nothing. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';

  constructor() {
    super('Redis is away');
  }
}

export interface TopologyOptions {
  readonly client: ClientOptions;
  readonly clock: Clock;
  readonly times: LinkTimes;
}

interface SlotRange {
  readonly host: string;
  readonly port: number;
  readonly from: number;
  readonly to: number;
}

const SLOTS = 16_384;
/** Tries of one command while slots move. */
const MAX_TRIES = 5;
const TRY_AGAIN_MS = 50;

export class Topology {
  readonly #options: TopologyOptions;
  readonly #listener: TopologyListener;
  readonly #shards = new Map<string, Shard>();
  #slots: (Shard | undefined)[] = [];
  #single: Shard | undefined;
  /** The address that was given: where the servers of a cluster are found if none is left where it was. */
  #seed: { readonly host: string; readonly port: number } | undefined;
  #refreshing: Promise<void> | undefined;
  #closed = false;

  constructor(options: TopologyOptions, listener: TopologyListener) {
    this.#options = options;
    this.#listener = listener;
  }

  /** True if there is one server, which takes commands about any names. */
  get isSingle(): boolean {
    return this.#single !== undefined;
  }

  /** Connects to everything. @throws if a server cannot be reached or refuses. */
  async open(host: string, port: number, cluster: boolean): Promise<void> {
    const first = this.#shard(host, port);
    if (!cluster) {
      this.#single = first;
      await connect(first);
      return;
    }
    this.#seed = { host, port };
    await first.commands.connect();
    await this.#readSlots(true);
  }

  shardOf(slot: number): Shard | undefined {
    return this.#single ?? this.#slots[slot];
  }

  /** Runs a script where the slot lives. Not sent at all if that server is away. */
  async run(script: Script, slot: number, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const command = ['EVALSHA', script.sha, String(keys.length), ...keys, ...args];
    try {
      return await this.#send(slot, command);
    } catch (error) {
      if (!textOf(error).startsWith('NOSCRIPT')) throw error;
      // Somebody emptied the server's cache of scripts.
      return await this.#send(slot, ['EVAL', script.text, ...command.slice(2)]);
    }
  }

  /** Publishes on a sharded channel. Not sent at all if its server is away. */
  async publish(channel: string, payload: string): Promise<void> {
    await this.#send(this.isSingle ? 0 : slotOf(channel), ['SPUBLISH', channel, payload]);
  }

  /** Reads the map of slots again. Never rejects. */
  refresh(): Promise<void> {
    if (this.#single !== undefined || this.#closed) return Promise.resolve();
    this.#refreshing ??= this.#readSlots(false)
      .catch((error: unknown) => this.#listener.onError(error))
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  close(): void {
    this.#closed = true;
    for (const shard of this.#shards.values()) close(shard);
    this.#shards.clear();
    this.#slots = [];
  }

  /** Sends a command to the server of a slot, following it while slots move. */
  async #send(slot: number, command: readonly string[]): Promise<unknown> {
    let asked: Shard | undefined;
    for (let tries = 1; ; tries += 1) {
      const shard = asked ?? this.shardOf(slot);
      const client = shard?.commands.client;
      if (shard === undefined || client === undefined) throw new NotSentError();
      try {
        // Both are written in one go, and ASKING holds for the next command only.
        if (asked !== undefined) client.sendCommand(['ASKING']).catch(() => undefined);
        return await client.sendCommand(command);
      } catch (error) {
        asked = undefined;
        const text = textOf(error);
        if (text.startsWith('READONLY')) this.#restart(shard);
        if (text.startsWith('CLUSTERDOWN')) void this.refresh();
        if (tries >= MAX_TRIES) throw error;
        if (text.startsWith('MOVED')) await this.refresh();
        else if (text.startsWith('ASK ')) asked = this.#shards.get(text.split(' ').at(-1) ?? '');
        else if (text.startsWith('TRYAGAIN')) await this.#pause(TRY_AGAIN_MS);
        else throw error;
      }
    }
  }

  async #readSlots(first: boolean): Promise<void> {
    const reply = await this.#askForSlots();
    if (this.#closed) return;
    const slots = new Array<Shard | undefined>(SLOTS);
    const known = new Set(this.#shards.values());
    const used = new Set<Shard>();
    for (const { host, port, from, to } of reply) {
      const shard = this.#shard(host, port);
      used.add(shard);
      slots.fill(shard, from, to + 1);
    }
    const added = [...used].filter((shard) => !known.has(shard));
    if (first) await Promise.all([...used].map((shard) => connect(shard)));
    else for (const shard of added) start(shard);
    const changed = slots.some((shard, slot) => shard !== this.#slots[slot]);
    this.#slots = slots;
    for (const [id, shard] of this.#shards) {
      if (used.has(shard)) continue;
      this.#shards.delete(id);
      close(shard);
    }
    if (changed) this.#listener.onChange();
  }

  async #askForSlots(): Promise<SlotRange[]> {
    let failure: unknown = new Error('No server of the Redis cluster can be reached');
    for (const { commands, id } of this.#shards.values()) {
      if (commands.client === undefined) continue;
      try {
        return await rangesOf(commands, id.slice(0, id.lastIndexOf(':')));
      } catch (error) {
        failure = error;
      }
    }
    if (this.#seed === undefined || [...this.#shards.values()].some(({ commands }) => commands.client !== undefined)) {
      throw failure;
    }
    return this.#askSeed(this.#seed.host, this.#seed.port);
  }

  /** Servers may have come back at other addresses, as they do where each start of one gives it a new address. */
  async #askSeed(host: string, port: number): Promise<SlotRange[]> {
    const link = new Link(this.#optionsOf(host, port), this.#options.clock, this.#options.times, {
      prepare: () => Promise.resolve(),
      onUp: () => undefined,
      onDown: () => undefined,
      onError: () => undefined,
    });
    try {
      await link.connect();
      return await rangesOf(link, host);
    } finally {
      link.close();
    }
  }

  #optionsOf(host: string, port: number): ClientOptions {
    const { client } = this.#options;
    return { ...client, socket: { ...client.socket, host, port } } as ClientOptions;
  }

  #shard(host: string, port: number): Shard {
    const id = `${host}:${port}`;
    const known = this.#shards.get(id);
    if (known !== undefined) return known;
    const { clock, times } = this.#options;
    const options = this.#optionsOf(host, port);
    const onError = (error: unknown): void => {
      this.#listener.onError(error);
      void this.refresh();
    };
    const commands = new Link(options, clock, times, {
      prepare: async (connection) => {
        for (const { text } of SCRIPTS) await connection.scriptLoad(text);
      },
      onUp: () => undefined,
      onDown: () => undefined,
      onError,
    });
    const subscriptions = new Link(options, clock, times, {
      prepare: () => Promise.resolve(),
      onUp: (connection) => this.#listener.onSubscriptionsUp(shard, connection),
      onDown: (connection) => this.#listener.onSubscriptionsDown(connection),
      onError,
    });
    const shard: Shard = { id, commands, subscriptions };
    this.#shards.set(id, shard);
    return shard;
  }

  #restart(shard: Shard): void {
    const reason = new Error('This Redis server is not a master any more');
    shard.commands.restart(reason);
    shard.subscriptions.restart(reason);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.schedule(ms, resolve));
  }
}

async function rangesOf(link: Link, ownHost: string): Promise<SlotRange[]> {
  if (link.client === undefined) throw new Error('Redis is away');
  const ranges = await link.within(link.client.clusterSlots());
  // A server that does not know its own address answers an empty one.
  return ranges.map(({ from, to, master }) => ({ from, to, host: master.host || ownHost, port: master.port }));
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : '';
}

async function connect(shard: Shard): Promise<void> {
  if (shard.commands.client === undefined) await shard.commands.connect();
  if (shard.subscriptions.client === undefined) await shard.subscriptions.connect();
}

function start(shard: Shard): void {
  shard.commands.start();
  shard.subscriptions.start();
}

function close(shard: Shard): void {
  shard.commands.close();
  shard.subscriptions.close();
}
