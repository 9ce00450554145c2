/**
 * One event for many receivers: encoded once for each protocol in use, however many connections it is sent to.
 */
import type { EncodedRecord, HubProtocol } from './protocol.ts';

export class SharedInvocation {
  readonly target: string;
  readonly args: readonly unknown[];
  readonly #records = new Map<HubProtocol, EncodedRecord>();

  /** Use `sharedInvocation`. */
  constructor(target: string, args: readonly unknown[]) {
    this.target = target;
    this.args = args;
  }

  /** The record in `protocol`. Throws TypeError when an argument cannot be serialised. */
  record(protocol: HubProtocol): EncodedRecord {
    let record = this.#records.get(protocol);
    if (record === undefined) {
      record = protocol.writeInvocation(this.target, this.args);
      this.#records.set(protocol, record);
    }
    return record;
  }
}

/** An invocation to send to many connections. `args` must not change afterwards. */
export function sharedInvocation(target: string, args: readonly unknown[]): SharedInvocation {
  return new SharedInvocation(target, args);
}
