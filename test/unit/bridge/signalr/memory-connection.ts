/**
 * A connection without a network: its transport keeps what is written, and the test plays the client. The codec, dispatcher and queue
 * are the real ones, and time is moved by hand.
 */

import type { Batch } from '../../../../src/bridge/signalr/endpoint/batch.ts';
import type { Transport } from '../../../../src/bridge/signalr/endpoint/transport.ts';
import type { Backplane } from '../../../../src/bridge/signalr/hub/backplane.ts';
import type { HubContext } from '../../../../src/bridge/signalr/hub/clients.ts';
import { Connection } from '../../../../src/bridge/signalr/hub/connection.ts';
import type { ConnectionHost } from '../../../../src/bridge/signalr/hub/connection-host.ts';
import { DelayQueue } from '../../../../src/bridge/signalr/hub/delay-queue.ts';
import type { ConnectionError } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubConnection, type HubDefinition, hub } from '../../../../src/bridge/signalr/hub/hub.ts';
import { hubContext, lifecycleContext } from '../../../../src/bridge/signalr/hub/hub-clients.ts';
import { HubRouter } from '../../../../src/bridge/signalr/hub/hub-router.ts';
import { OutboundFlusher } from '../../../../src/bridge/signalr/hub/outbound-flusher.ts';
import { ProbePacer } from '../../../../src/bridge/signalr/hub/receipts.ts';
import { ACK_DELAY_MS, type StatefulLink } from '../../../../src/bridge/signalr/hub/stateful-link.ts';
import { protocolsOf } from '../../../../src/bridge/signalr/protocol/protocols.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';

export interface TestUser {
  readonly name: string;
}

/** A transport whose other end is the test. */
export class MemoryTransport implements Transport {
  readonly name = 'WebSockets';
  isBinary = true;
  readonly canProve = true;
  readonly wantsPings = true;
  readonly request = undefined;
  isWritable = true;
  bufferedBytes = 0;
  takenBytes = 0;
  isPaused = false;
  isClosed = false;
  isDestroyed = false;
  readonly records: string[] = [];
  readonly batches: Batch[] = [];
  readonly probes: number[] = [];

  start(): void {}

  write(batch: Batch): void {
    this.batches.push(batch);
    this.records.push(...batch.chunks.map((record) => record.toString().slice(0, -1)));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  close(): void {
    this.isClosed = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  abandon(): void {
    this.isClosed = true;
  }

  probe(mark: number): void {
    this.probes.push(mark);
  }
}

/** One end of an ended connection, as the hub was told. */
export interface Disconnection {
  readonly id: string;
  readonly error: ConnectionError | undefined;
}

export interface Reported {
  readonly error: unknown;
  readonly method: string;
}

/** A hub with connections of memory. */
export class MemoryHost {
  readonly clock = new FakeClock();
  readonly disconnections: Disconnection[] = [];
  readonly received: number[] = [];
  readonly reported: Reported[] = [];
  readonly gone: string[] = [];
  readonly router: HubRouter;
  /** As code outside of calls has it. */
  readonly context: HubContext;
  readonly #connections = new Map<string, Connection<TestUser>>();
  readonly #host: ConnectionHost<TestUser>;
  readonly #name: string;
  #count = 0;

  constructor(
    definition: Partial<HubDefinition<TestUser>> = {},
    { backplane, name = 'c' }: { backplane?: Backplane; name?: string } = {},
  ) {
    this.#name = name;
    const checked = hub<TestUser>({
      methods: {},
      onReceived: (_connection, mark) => void this.received.push(mark),
      ...definition,
      onDisconnected: (connection, error, context) => {
        this.disconnections.push({ id: connection.id, error });
        return definition.onDisconnected?.(connection, error, context);
      },
    });
    const { memberNaming, protocols, receiptProbeDelayMs, receiptProbeIntervalMs } = checked.options;
    this.router = new HubRouter({
      connections: this.#connections,
      maximumClientInvocations: checked.options.maximumClientInvocations,
      backplane,
      onError: (error, method) => void this.reported.push({ error, method }),
    });
    this.context = hubContext(this.router);
    this.#host = {
      hub: checked,
      protocols: protocolsOf(protocols, memberNaming),
      flusher: new OutboundFlusher(),
      pacer: new ProbePacer(this.clock, receiptProbeDelayMs, receiptProbeIntervalMs),
      acks: new DelayQueue<StatefulLink>(this.clock, ACK_DELAY_MS, (link) => link.onAckDue()),
      router: this.router,
      context: this.context,
      lifecycleContext: lifecycleContext(this.router),
      nowMs: () => Math.floor(this.clock.monotonicMs()),
      wallMs: () => this.clock.now(),
      report: (error, method) => void this.reported.push({ error, method }),
      onEnding: () => undefined,
      onGone: (connectionId) => {
        this.gone.push(connectionId);
        const connection = this.#connections.get(connectionId);
        this.#connections.delete(connectionId);
        if (connection !== undefined) this.router.onEnded(connection);
      },
    };
  }

  /** Connections whose transport is open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** A connection before its handshake. */
  connect({ isStateful = false, user = 'alice' } = {}): MemoryClient {
    this.#count += 1;
    const transport = new MemoryTransport();
    const who = { user: { name: user }, userId: user, remoteAddress: '127.0.0.1' };
    const info = { id: `${this.#name}${this.#count}`, ...who, isStateful };
    const connection = new Connection(this.#host, info, transport);
    this.#connections.set(connection.id, connection);
    this.router.onOpened(connection);
    return new MemoryClient(connection, transport);
  }

  /** A connection after its handshake, whose answer is taken. */
  async open(user?: string): Promise<MemoryClient> {
    const client = this.connect(user === undefined ? {} : { user });
    client.send('{"protocol":"json","version":1}');
    await client.settle();
    client.transport.records.splice(0);
    client.transport.batches.splice(0);
    return client;
  }
}

/** The client's side of a connection of memory. */
export class MemoryClient {
  readonly connection: Connection<TestUser>;
  readonly transport: MemoryTransport;

  constructor(connection: Connection<TestUser>, transport: MemoryTransport) {
    this.connection = connection;
    this.transport = transport;
  }

  get asHubSeesIt(): HubConnection<TestUser> {
    return this.connection;
  }

  /** Sends records, in one chunk. */
  send(...records: readonly string[]): void {
    this.connection.onData(Buffer.from(records.map((record) => `${record}\u001e`).join('')));
  }

  invoke(id: string | undefined, target: string, ...args: readonly unknown[]): void {
    this.send(JSON.stringify({ type: 1, invocationId: id, target, arguments: args }));
  }

  /** Lets promises settle and queues be flushed. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  /** What has been written since the last call, after everything has settled. */
  async taken(): Promise<string[]> {
    await this.settle();
    return this.transport.records.splice(0);
  }
}
