/** What a failed call tells, as a client in the wild reads it. */
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';

/** Code and stable reason of an error, as `Unavailable SHUTTING_DOWN`. */
export function reasonOf(error: unknown): string {
  const connectError = ConnectError.from(error);
  const [info] = connectError.findDetails(ErrorInfoSchema);
  return `${Code[connectError.code]} ${info?.reason ?? `without a reason: ${connectError.rawMessage}`}`;
}

/** When the server says that a retry can succeed, in milliseconds; undefined if it does not say. */
export function retryDelayMs(error: unknown): number | undefined {
  const [info] = ConnectError.from(error).findDetails(RetryInfoSchema);
  if (info?.retryDelay === undefined) return undefined;
  return Number(info.retryDelay.seconds) * 1000 + info.retryDelay.nanos / 1_000_000;
}
