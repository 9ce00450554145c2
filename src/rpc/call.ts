/** One call on its way through the door: what the adapter, the gate, the interceptors and the handlers share of it. */
import { randomUUID } from 'node:crypto';
import { type ContextKey, type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect';
import { ChatError } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';

export interface Call {
  /** Correlates log entries; answered in the header `x-request-id`. */
  readonly requestId: string;
  /** Service and method, as in the path without its slash. */
  readonly method: string;
  readonly streaming: boolean;
  /** When it began, on the monotonic clock. */
  readonly startMs: number;
  /** Whose token it carries; set by the gate. */
  identity: Identity | undefined;
  /** The deadline that the client named, in milliseconds from the beginning; set by the gate. */
  timeoutMs: number | undefined;
  /** The code with which the server ended the call by itself, whether or not the client could be told. */
  endCode: string | undefined;
  /** True once the call was logged and counted. */
  finished: boolean;
  /** The client's address, for the limits per address. */
  readonly address: () => string;
  /** Destroys the call's transport, whatever it still holds. Idempotent. */
  readonly cut: () => void;
  /** Whether the call's transport has closed, so that nothing can be sent any more. */
  readonly isGone: () => boolean;
}

const callKey: ContextKey<Call | undefined> = createContextKey<Call | undefined>(undefined, { description: 'call' });

export function withCall(call: Call): ContextValues {
  return createContextValues().set(callKey, call);
}

export function callOf(values: ContextValues): Call {
  const call = values.get(callKey);
  if (call === undefined) throw new Error('The call did not come through the adapter');
  return call;
}

/** Whose token a call carries. */
export function identityOf(values: ContextValues): Identity {
  const { identity } = callOf(values);
  if (identity === undefined) throw new ChatError('unauthenticated', 'TOKEN_MISSING', 'Authentication required');
  return identity;
}

/** Ids that are safe in a log and a header. */
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The client's request id if it is one, else a new one. */
export function requestIdFrom(header: string | string[] | undefined): string {
  return typeof header === 'string' && REQUEST_ID.test(header) ? header : randomUUID();
}
