/**
 * What a connection gets from the server that hosts it. A server, or a test, implements it.
 */

import type { HubProtocol } from '../protocol/protocol.ts';
import type { HubContext } from './clients.ts';
import type { DelayQueue } from './delay-queue.ts';
import type { Hub } from './hub.ts';
import type { HubRouter } from './hub-router.ts';
import type { OutboundFlusher } from './outbound-flusher.ts';
import type { ProbePacer } from './receipts.ts';
import type { StatefulLink } from './stateful-link.ts';

/** What all connections of a server share. */
export interface ConnectionHost<User> {
  readonly hub: Hub<User>;
  readonly protocols: readonly HubProtocol[];
  readonly flusher: OutboundFlusher;
  readonly pacer: ProbePacer;
  /** Acks of stateful connections that are due. */
  readonly acks: DelayQueue<StatefulLink>;
  readonly router: HubRouter;
  readonly context: HubContext;
  /** For the life-cycle events. */
  readonly lifecycleContext: HubContext;
  /** Whole milliseconds of the monotonic clock. */
  nowMs(): number;
  /** Milliseconds of the wall clock. */
  wallMs(): number;
  report(error: unknown, method: string, connectionId: string): void;
  /** The hub takes its time over the end of a connection. Never rejects. */
  onEnding(ending: Promise<void>): void;
  /** The connection is over and its transport gone. Comes once. */
  onGone(connectionId: string): void;
}
