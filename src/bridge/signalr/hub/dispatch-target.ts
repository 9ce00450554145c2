/** What the dispatcher, its calls and their streams need of their connection. */
import type { CompletionMessage } from '../protocol/messages.ts';
import type { ParameterKind } from '../protocol/parameters.ts';
import type { CallerClients, HubGroups } from './clients.ts';
import type { HubConnection } from './hub.ts';

export interface DispatchTarget<User> extends HubConnection<User> {
  /** Queues the answer to a call; answers its mark, 0 when the connection is not open. */
  complete(invocationId: string, result: unknown): number;
  fail(invocationId: string, error: string): number;
  /** Queues an item of a stream, whose sender waits for `drained` while the connection is congested. Throws TypeError as `send`. */
  sendItem(invocationId: string, item: unknown): number;
  endStream(invocationId: string): number;
  /** Whether so much waits for the client that streams should wait. */
  readonly isCongested: boolean;
  /** Calls `callback` when the record with this mark is known to have arrived. */
  whenReceived(mark: number, callback: () => void): void;
  /** The client has sent a Ping. */
  onPing(): void;
  /** The client has sent a Close. */
  onClose(): void;
  /** Calls or uploads no longer fill their bounds, or no call is left. */
  onCallsDone(): void;
  /** What the client's answer to that invocation must be; undefined: nobody waits for it. */
  resultKind(invocationId: string): ParameterKind | undefined;
  /** The client has answered an invocation, or sent the end of a stream that does not exist. */
  onResult(message: CompletionMessage): void;
  /** `onInvoke` is called when an answer of a client is waited for. */
  callerClients(onInvoke: () => void): CallerClients;
  readonly groups: HubGroups;
  /** An error of the hub's own code. */
  report(error: unknown, method: string): void;
  readonly detailedErrors: boolean;
}
