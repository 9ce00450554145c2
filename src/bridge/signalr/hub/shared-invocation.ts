/**
 * One event for many receivers: encoded once for each protocol in use, however many connections it is sent to.
 */
import type { EncodedRecord, HubProtocol } from '../protocol/protocol.ts';

export class SharedInvocation {
  readonly target: string;
  readonly args: readonly unknown[];
  /** The protocol that was asked for first: mostly the only one, so there is no map for it. */
  #first: { readonly protocol: HubProtocol; readonly record: EncodedRecord } | undefined;
  #others: Map<HubProtocol, EncodedRecord> | undefined;

  /** Use `sharedInvocation`. */
  constructor(target: string, args: readonly unknown[]) {
    this.target = target;
    this.args = args;
  }

  /** The record in `protocol`. Throws TypeError when an argument cannot be serialised. */
  record(protocol: HubProtocol): EncodedRecord {
    if (this.#first?.protocol === protocol) return this.#first.record;
    const known = this.#others?.get(protocol);
    if (known !== undefined) return known;
    const record = protocol.writeInvocation(this.target, this.args);
    if (this.#first === undefined) this.#first = { protocol, record };
    else {
      this.#others ??= new Map();
      this.#others.set(protocol, record);
    }
    return record;
  }
}

/** An invocation to send to many connections. `args` must not change afterwards. */
export function sharedInvocation(target: string, args: readonly unknown[]): SharedInvocation {
  return new SharedInvocation(target, args);
}
