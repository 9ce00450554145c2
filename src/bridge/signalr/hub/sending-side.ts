/**
 * What goes out on a connection: every kind of record that its hub and its calls send, written in the protocol that the handshake chose.
 *
 * Answers the record's mark, or 0 where the connection is not open; never waits. The connection itself (connection.ts) is built on it.
 */
import type { Transport } from '../endpoint/transport.ts';
import type { EncodedRecord, HubProtocol } from '../protocol/protocol.ts';
import type { ConnectionFailure } from './errors.ts';
import type { SendOptions } from './hub.ts';
import { Outbound, type OutboundHost, type OutboundOwner } from './outbound.ts';
import type { SharedInvocation } from './shared-invocation.ts';

export abstract class SendingSide implements OutboundOwner {
  protected readonly outbound: Outbound;
  /** From the handshake on. */
  protected protocol: HubProtocol | undefined;

  constructor(host: OutboundHost, transport: Transport, maximumOutboundBytes: number) {
    this.outbound = new Outbound(this, host, transport, maximumOutboundBytes);
  }

  abstract get isOpen(): boolean;
  abstract onFlushed(): void;
  abstract onOverflow(failure: ConnectionFailure, message: string): void;

  send(target: string, args: readonly unknown[], options?: SendOptions): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.#withReceipt(
      this.outbound.add(this.protocol.writeInvocation(target, args), false, options?.paced),
      options,
    );
  }

  sendShared(invocation: SharedInvocation, options?: SendOptions): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.#withReceipt(this.outbound.add(invocation.record(this.protocol), true, options?.paced), options);
  }

  complete(invocationId: string, result: unknown): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.outbound.add(this.protocol.writeResult(invocationId, result), false);
  }

  fail(invocationId: string, error: string): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.outbound.add(this.protocol.writeError(invocationId, error), false);
  }

  sendItem(invocationId: string, item: unknown): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.outbound.add(this.protocol.writeStreamItem(invocationId, item), false, true);
  }

  endStream(invocationId: string): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.outbound.add(this.protocol.writeStreamEnd(invocationId), false);
  }

  ask(invocationId: string, target: string, args: readonly unknown[]): number {
    if (this.protocol === undefined || !this.isOpen) return 0;
    return this.outbound.add(this.protocol.writeInvocation(target, args, invocationId), false);
  }

  get isCongested(): boolean {
    return this.outbound.isCongested;
  }

  drained(): Promise<void> {
    if (!this.isOpen) return Promise.reject(new Error('The connection has ended'));
    return this.outbound.drained();
  }

  whenReceived(mark: number, callback: () => void): void {
    if (this.isOpen) this.outbound.want(mark, callback);
  }

  sendUncounted(record: EncodedRecord): void {
    if (this.isOpen) this.outbound.addUncounted(record, false);
  }

  #withReceipt(mark: number, options: SendOptions | undefined): number {
    if (mark !== 0 && options?.receipt === true) this.outbound.want(mark);
    return mark;
  }
}
