/** Errors of use cases as the hub's callers are told of them. */
import { ChatError } from '../core/errors.ts';
import { errorText, isServerFault, SEND_FAILED } from './error-texts.ts';
import { HubException } from './signalr/hub/errors.ts';

/**
 * The error to throw out of a hub method.
 *
 * What the caller did wrong becomes a `HubException` with a fixed text. A failure inside the server becomes one too if it
 * was about a send or will pass by itself, and carries its cause for the log; any other is thrown as it is, which shows
 * the caller only that there was one.
 */
export function hubError(error: unknown, isSend: boolean): unknown {
  if (error instanceof HubException) return error;
  if (!(error instanceof ChatError)) return isSend ? new HubException(SEND_FAILED, { cause: error }) : error;
  if (!isServerFault(error)) return new HubException(errorText(error, isSend));
  if (error.code === 'internal' && !isSend) return error;
  return new HubException(errorText(error, isSend), { cause: error });
}
