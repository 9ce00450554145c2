/**
 * The handshake (HubProtocol.md, "Overview"): the client's first record names the protocol, the server answers `{}` or
 * `{"error":…}`. It is JSON whatever protocol it names.
 */
import { RECORD_SEPARATOR } from './json-protocol.ts';
import { parseWithSources, SourcedNumber } from './json-source.ts';
import type { EncodedRecord, HubProtocol, TransferFormat } from './protocol.ts';

/** Answer to a handshake that passes; it travels like the records that follow (transcript 59). */
export const HANDSHAKE_ACCEPTED: Readonly<Record<TransferFormat, EncodedRecord>> = {
  Text: '{}\u001e',
  Binary: Buffer.from('{}\u001e'),
};
/** Reason given when the handshake is late or too large. */
export const HANDSHAKE_CANCELED = 'Handshake was canceled.';

const FAILED = 'An unexpected error occurred during connection handshake.';
const WHOLE = /^-?[0-9]+$/;

/** Where the handshake record ends (the index behind its separator), or -1; not before `from`. */
export function handshakeRecordEnd(data: Buffer, from: number): number {
  return data.indexOf(RECORD_SEPARATOR, from) + 1 || -1;
}

/** Answer to a handshake that fails. */
export function handshakeError(reason: string): string {
  return `${JSON.stringify({ error: reason })}\u001e`;
}

/** What a handshake agreed on. */
export interface Handshake {
  readonly protocol: HubProtocol;
  /** As the client asked for it; may be below 1. */
  readonly version: number;
}

/** The protocol the handshake record asks for, or the reason why not; `isBinary`: the transport carries bytes. Versions below the known ones pass, as in the reference. */
export function readHandshake(
  record: string,
  protocols: readonly HubProtocol[],
  detailedErrors: boolean,
  isBinary: boolean,
): Handshake | string {
  const failed = (detail: string): string => (detailedErrors ? `${FAILED} InvalidDataException: ${detail}` : FAILED);
  let request: unknown;
  try {
    request = parseWithSources(record);
  } catch {
    return failed('Error reading JSON.');
  }
  if (typeof request !== 'object' || request === null || Array.isArray(request) || request instanceof SourcedNumber) {
    return failed('Expected a JSON object.');
  }
  const { protocol, version } = request as { readonly protocol?: unknown; readonly version?: unknown };
  if (protocol === undefined) return failed("Missing required property 'protocol'.");
  if (typeof protocol !== 'string') return failed("Expected 'protocol' to be of type String.");
  if (version === undefined) return failed("Missing required property 'version'.");
  if (!(version instanceof SourcedNumber) || !WHOLE.test(version.source) || (version.value | 0) !== version.value) {
    return failed("Expected 'version' to be of type Int32.");
  }
  const found = protocols.find(({ name }) => name === protocol.toLowerCase());
  if (found === undefined) return `The protocol '${protocol}' is not supported.`;
  if (version.value > found.maximumVersion) {
    return `The server does not support version ${version.value} of the '${found.name}' protocol.`;
  }
  if (found.transferFormat === 'Binary' && !isBinary) {
    return `Cannot use the '${found.name}' protocol on the current transport. The transport does not support 'Binary' transfer format.`;
  }
  return { protocol: found, version: version.value };
}
