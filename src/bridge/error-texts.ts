/**
 * The words in which the web doors (hub and REST) tell what went wrong. The existing page shows some of them and compares
 * others, so they are fixed. Nothing that a user wrote, and nothing of a cause, is ever part of a text.
 */
import type { ChatError, ChatErrorReason } from '../core/errors.ts';

/** For any failure inside the server while sending. */
export const SEND_FAILED = 'An error occurred while sending your message';
export const INVALID_PARAMETERS = 'Invalid message parameters';
export const AUTHENTICATION_REQUIRED = 'Authentication required';

const INSIDE = 'Something went wrong inside the server';

const TEXTS: Readonly<Record<ChatErrorReason, string>> = {
  INVALID_FIELD: INVALID_PARAMETERS,
  TEXT_EMPTY: INVALID_PARAMETERS,
  TEXT_TOO_LONG: 'Message exceeds maximum length',
  RECEIVER_IS_SENDER: 'Cannot send messages to yourself',
  TOKEN_MISSING: AUTHENTICATION_REQUIRED,
  TOKEN_INVALID: AUTHENTICATION_REQUIRED,
  TOKEN_EXPIRED: AUTHENTICATION_REQUIRED,
  KEYS_UNAVAILABLE: 'Tokens cannot be checked at the moment, try again',
  USER_MISSING: AUTHENTICATION_REQUIRED,
  ACCESS_DENIED: 'Access denied',
  NOT_MESSAGE_SENDER: 'You can only delete your own messages',
  NOT_MESSAGE_RECEIVER: 'You can only mark messages sent to you as read',
  MESSAGE_NOT_FOUND: 'Message not found',
  CONVERSATION_NOT_FOUND: 'Conversation not found',
  USER_NOT_FOUND: 'User not found',
  CLIENT_MESSAGE_ID_REUSED: 'This client message id was already used for another message',
  STREAM_NOT_OPEN: INSIDE,
  STREAM_ALREADY_OPEN: INSIDE,
  RATE_LIMITED: 'Too many messages, slow down',
  TOO_MANY_CONNECTIONS: 'Too many connections',
  OVERLOADED: 'The server is overloaded, try again',
  SLOW_CONSUMER: 'The connection does not keep up',
  STORE_UNAVAILABLE: 'The server is temporarily unavailable, try again',
  SHUTTING_DOWN: 'The server is restarting, try again',
  INTERNAL: INSIDE,
};

/** Whether the server, not the caller, is at fault: the cause belongs in the log. */
export function isServerFault(error: ChatError): boolean {
  return error.code === 'internal' || error.code === 'unavailable';
}

/** What to tell the caller of `error`. `isSend`: it was an attempt to send a message. */
export function errorText(error: ChatError, isSend: boolean): string {
  if (isSend && isServerFault(error)) return SEND_FAILED;
  const text = TEXTS[error.reason];
  const [violation] = error.violations;
  if (error.reason !== 'INVALID_FIELD' || violation === undefined) return text;
  return `${text}: ${camelCase(violation.field)} ${violation.description}`;
}

/** Fields are named as in the Protobuf requests; the web doors write camelCase. */
function camelCase(field: string): string {
  return field.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
