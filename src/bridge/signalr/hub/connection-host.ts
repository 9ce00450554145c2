/**
 * What a connection gets from the server that hosts it. A server, or a test, implements it.
 */

import type { HubProtocol } from '../protocol/protocol.ts';
import type { Hub } from './hub.ts';
import type { OutboundFlusher } from './outbound-flusher.ts';
import type { ProbePacer } from './receipts.ts';

/** What all connections of a server share. */
export interface ConnectionHost<User> {
  readonly hub: Hub<User>;
  readonly protocols: readonly HubProtocol[];
  readonly flusher: OutboundFlusher;
  readonly pacer: ProbePacer;
  /** Whole milliseconds of the monotonic clock. */
  nowMs(): number;
  report(error: unknown, method: string, connectionId: string): void;
  /** The transport is gone. Comes once. */
  onGone(connectionId: string): void;
}
