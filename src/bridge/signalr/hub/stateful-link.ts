/**
 * Stateful reconnect (protocol version 2) of one connection: what both sides count, acknowledge and repeat, so that the connection
 * survives its transport. Counted are the records that carry calls: invocations, stream items, completions and cancellations; all
 * others belong to one transport and die with it.
 *
 * - Out: counted records are kept until the client's Ack, and repeated behind a Sequence, which names the first of them.
 * - In: what the client repeats below what was received is dropped; an Ack follows a second after a counted record at the latest.
 * - Suspended: between two transports. What is sent meanwhile is kept only here; its bound ends the connection, because a client that
 *   is away cannot acknowledge what would be dropped.
 *
 * Where the protocol's prose and the reference differ the reference counts: a Sequence names the first record that is not acknowledged,
 * and a client that sends none goes on where it was (transcripts 61 to 63).
 */
import { type InboundMessage, messageType } from '../protocol/messages.ts';
import { type EncodedRecord, type HubProtocol, InvalidRecordError } from '../protocol/protocol.ts';
import type { DelayQueue } from './delay-queue.ts';
import { ReplayBuffer } from './replay-buffer.ts';

/** From a counted record to the Ack for it, at most. */
export const ACK_DELAY_MS = 1_000;

/** What the link needs of its connection. */
export interface LinkTarget {
  /** Sends a record that is not counted. */
  sendUncounted(record: EncodedRecord): void;
}

export class StatefulLink {
  readonly #target: LinkTarget;
  readonly #protocol: HubProtocol;
  readonly #acks: DelayQueue<StatefulLink>;
  readonly #sent: ReplayBuffer;
  #receivedId = 0;
  /** Number of the counted record that comes next; at most one above what was received. */
  #nextId = 1;
  #isAckDue = false;
  #suspendedSinceMs: number | undefined;

  /** @param acks shared by all connections of a server; must call `onAckDue`. */
  constructor(target: LinkTarget, protocol: HubProtocol, acks: DelayQueue<StatefulLink>, maximumBytes: number) {
    this.#target = target;
    this.#protocol = protocol;
    this.#acks = acks;
    this.#sent = new ReplayBuffer(maximumBytes);
  }

  /** Whether nothing would be missing on a new transport. */
  get canResume(): boolean {
    return this.#sent.isWhole;
  }

  /** Since when there is no transport, in whole milliseconds of the monotonic clock; undefined = there is one. */
  get suspendedSinceMs(): number | undefined {
    return this.#suspendedSinceMs;
  }

  /** A counted record is sent, or would be if there were a transport. */
  onSent(record: EncodedRecord): void {
    this.#sent.add(record);
  }

  /**
   * Whether the message is to be handled: it is none of the link's own and was not received before. Throws InvalidRecordError when the
   * client leaves a gap.
   */
  accepts(message: InboundMessage): boolean {
    switch (message.type) {
      case messageType.invocation:
      case messageType.streamInvocation:
      case messageType.streamItem:
      case messageType.completion:
      case messageType.cancelInvocation:
        return this.#isNew();
      case messageType.ack:
        this.#sent.acknowledge(message.sequenceId);
        return false;
      case messageType.sequence:
        this.#onSequence(message.sequenceId);
        return false;
      default:
        return true;
    }
  }

  /**
   * The transport is gone, and with it the Ack that is due: a client that comes back repeats what was not acknowledged, and that makes
   * one due again.
   */
  suspend(nowMs: number): void {
    this.#isAckDue = false;
    this.#suspendedSinceMs = nowMs;
  }

  /** There is a new transport. Answers what must be sent on it first. */
  resume(): readonly EncodedRecord[] {
    this.#suspendedSinceMs = undefined;
    return [this.#protocol.writeSequence(this.#sent.firstId), ...this.#sent.records];
  }

  /** The connection is over. */
  end(): void {
    this.#isAckDue = false;
    this.#sent.clear();
  }

  onAckDue(): void {
    if (!this.#isAckDue) return;
    this.#isAckDue = false;
    this.#target.sendUncounted(this.#protocol.writeAck(this.#receivedId));
  }

  #isNew(): boolean {
    const id = this.#nextId;
    this.#nextId += 1;
    if (!this.#isAckDue) {
      this.#isAckDue = true;
      this.#acks.add(this);
    }
    if (id <= this.#receivedId) return false;
    this.#receivedId = id;
    return true;
  }

  #onSequence(id: number): void {
    if (!Number.isInteger(id) || id < 1 || id > this.#receivedId + 1) {
      throw new InvalidRecordError('The sequence number does not follow what was received.');
    }
    this.#nextId = id;
  }
}
