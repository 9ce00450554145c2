/**
 * A connection without a network: its transport keeps what is written, and the test plays the client. The codec, dispatcher and queue
 * are the real ones, and time is moved by hand.
 */

import type { Batch } from '../../../../src/bridge/signalr/endpoint/batch.ts';
import type { Transport } from '../../../../src/bridge/signalr/endpoint/transport.ts';
import { Connection } from '../../../../src/bridge/signalr/hub/connection.ts';
import type { ConnectionHost } from '../../../../src/bridge/signalr/hub/connection-host.ts';
import { DelayQueue } from '../../../../src/bridge/signalr/hub/delay-queue.ts';
import type { ConnectionError } from '../../../../src/bridge/signalr/hub/errors.ts';
import { type HubConnection, type HubDefinition, hub } from '../../../../src/bridge/signalr/hub/hub.ts';
import { OutboundFlusher } from '../../../../src/bridge/signalr/hub/outbound-flusher.ts';
import { ProbePacer } from '../../../../src/bridge/signalr/hub/receipts.ts';
import { ACK_DELAY_MS, type StatefulLink } from '../../../../src/bridge/signalr/hub/stateful-link.ts';
import { jsonProtocol } from '../../../../src/bridge/signalr/protocol/json-protocol.ts';
import { FakeClock } from '../../../fixtures/fake-clock.ts';

export interface TestUser {
  readonly name: string;
}

/** A transport whose other end is the test. */
export class MemoryTransport implements Transport {
  readonly name = 'WebSockets';
  readonly isBinary = true;
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
  readonly #host: ConnectionHost<TestUser>;
  #count = 0;

  constructor(definition: Partial<HubDefinition<TestUser>> = {}) {
    const checked = hub<TestUser>({
      methods: {},
      onReceived: (_connection, mark) => void this.received.push(mark),
      ...definition,
      onDisconnected: (connection, error) => {
        this.disconnections.push({ id: connection.id, error });
        return definition.onDisconnected?.(connection, error);
      },
    });
    const { receiptProbeDelayMs, receiptProbeIntervalMs } = checked.options;
    this.#host = {
      hub: checked,
      protocols: [jsonProtocol],
      flusher: new OutboundFlusher(),
      pacer: new ProbePacer(this.clock, receiptProbeDelayMs, receiptProbeIntervalMs),
      acks: new DelayQueue<StatefulLink>(this.clock, ACK_DELAY_MS, (link) => link.onAckDue()),
      nowMs: () => Math.floor(this.clock.monotonicMs()),
      report: (error, method) => void this.reported.push({ error, method }),
      onGone: (connectionId) => void this.gone.push(connectionId),
    };
  }

  /** A connection before its handshake. */
  connect(isStateful = false): MemoryClient {
    this.#count += 1;
    const transport = new MemoryTransport();
    const who = { user: { name: 'alice' }, userId: 'alice', remoteAddress: '127.0.0.1' };
    const info = { id: `c${this.#count}`, ...who, isStateful };
    return new MemoryClient(new Connection(this.#host, info, transport), transport);
  }

  /** A connection after its handshake, whose answer is taken. */
  async open(): Promise<MemoryClient> {
    const client = this.connect();
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
