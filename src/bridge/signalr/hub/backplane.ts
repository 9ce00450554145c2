/**
 * The port by which the servers of one hub reach each other's connections. An adapter joins them over a network; the one here joins the
 * servers of one process. Every adapter passes test/contract/backplane.contract.ts.
 *
 * Everything that crosses is data (ids, names, JSON-like values); nothing refers to an object of one server. Nobody is sent its own.
 */
import type { ParameterKind } from '../protocol/parameters.ts';

/** Who is meant, on whatever server. All names are literals. */
export type Audience =
  | { readonly to: 'all'; readonly except: readonly string[] }
  | { readonly to: 'connections'; readonly ids: readonly string[] }
  | { readonly to: 'groups'; readonly names: readonly string[]; readonly except: readonly string[] }
  | { readonly to: 'users'; readonly ids: readonly string[] };

/** An event for those of an audience who are connected elsewhere. */
export interface RemoteSend {
  readonly audience: Audience;
  readonly target: string;
  readonly args: readonly unknown[];
}

/** Something to do with one connection. */
export type RemoteRequest =
  | { readonly type: 'addToGroup' | 'removeFromGroup'; readonly group: string }
  | {
      readonly type: 'invoke';
      readonly target: string;
      readonly args: readonly unknown[];
      readonly resultKind: ParameterKind;
    };

/** How it went. `error.isForClients`: it was a HubException. */
export type RemoteAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: { readonly message: string; readonly isForClients: boolean } };

/** A server, as the backplane sees it. */
export interface BackplaneMember {
  /** Must not throw. */
  onSend(send: RemoteSend): void;
  /** The answer, or undefined at once when the connection is not this server's. `signal`: the asker has given up. */
  onRequest(connectionId: string, request: RemoteRequest, signal: AbortSignal): Promise<RemoteAnswer> | undefined;
}

/** A server's way to the others. */
export interface BackplaneLink {
  /** To all other members. In the order of the calls, for each member; never throws. */
  publish(send: RemoteSend): void;
  /**
   * To the member that has the connection; undefined when none has it: never waits for one that does not exist. Rejects when the way there or
   * back is broken. When `signal` is aborted it rejects and the other side is told.
   */
  ask(connectionId: string, request: RemoteRequest, signal: AbortSignal): Promise<RemoteAnswer | undefined>;
  /** Nothing is delivered any more; what is asked of this member gets undefined. Idempotent. */
  leave(): void;
}

export interface Backplane {
  join(member: BackplaneMember): BackplaneLink;
}

/** Joins servers of one process. */
export class MemoryBackplane implements Backplane {
  readonly #members = new Set<BackplaneMember>();

  join(member: BackplaneMember): BackplaneLink {
    this.#members.add(member);
    return {
      publish: (send) => {
        for (const other of this.#members) if (other !== member) other.onSend(send);
      },
      ask: async (connectionId, request, signal) => {
        for (const other of this.#members) {
          if (other === member) continue;
          const answer = other.onRequest(connectionId, request, signal);
          if (answer !== undefined) return await untilAborted(answer, signal);
        }
        return undefined;
      },
      leave: () => {
        this.#members.delete(member);
      },
    };
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}
