/**
 * Negotiation (TransportProtocols.md, "POST [endpoint-base]/negotiate"): which version is spoken, and which transports there are.
 *
 * From version 1 on there are two ids: `connectionId` is public, `connectionToken` opens the connection.
 */
import { randomBytes } from 'node:crypto';
import type { TransportName } from './transport.ts';

/** The transports in the order in which they are offered. */
const FORMATS: readonly (readonly [TransportName, readonly string[]])[] = [
  ['WebSockets', ['Text', 'Binary']],
  ['ServerSentEvents', ['Text']],
  ['LongPolling', ['Text', 'Binary']],
];
/** As the reference reads numbers. */
const WHOLE = /^[ \t]*[+-]?[0-9]{1,10}[ \t]*$/;

/** An id that cannot be guessed: 16 random bytes as 22 characters of base64url, as the reference's. */
export function newConnectionId(): string {
  return randomBytes(16).toString('base64url');
}

/** The version a client asks for, or the error it gets (with status 200, as all negotiation errors). */
export function negotiateVersion(asked: string | undefined, minimum: number): 0 | 1 | { readonly error: string } {
  const text = asked ?? '0';
  const version = WHOLE.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(version) || version !== (version | 0)) {
    return { error: 'The client requested a non-integer protocol version.' };
  }
  if (version < minimum) {
    return { error: `The client requested version '${version}', but the server does not support this version.` };
  }
  return version === 0 ? 0 : 1;
}

/** The ids of a connection, and whether it is stateful. */
export interface Negotiated {
  readonly connectionId: string;
  readonly connectionToken: string;
  readonly isStateful: boolean;
}

/**
 * The body of the answer; `useStatefulReconnect` stands first, as in the reference. `tokenLifetimeSeconds`: told to clients that can
 * renew their token (dotnet/aspnetcore#67111).
 */
export function negotiateAnswer(
  version: 0 | 1,
  { connectionId, connectionToken, isStateful }: Negotiated,
  transports: readonly TransportName[],
  tokenLifetimeSeconds?: number,
): string {
  const stateful = isStateful ? { useStatefulReconnect: true } : {};
  const ids = version === 0 ? { connectionId } : { connectionId, connectionToken };
  const availableTransports = FORMATS.filter(([transport]) => transports.includes(transport)).map(
    ([transport, transferFormats]) => ({ transport, transferFormats }),
  );
  return JSON.stringify({ ...stateful, negotiateVersion: version, ...ids, availableTransports, tokenLifetimeSeconds });
}
