import { describe, expect, test } from 'vitest';
import { hubError } from '../../../src/bridge/hub-errors.ts';
import { restError, tokenError } from '../../../src/bridge/rest-errors.ts';
import { HubException } from '../../../src/bridge/signalr/hub/errors.ts';
import { ChatError, type ChatErrorCode, type ChatErrorReason, invalidField } from '../../../src/core/errors.ts';

type Row = [code: ChatErrorCode, reason: ChatErrorReason, text: string, status: number];

const SEND_FAILED = 'An error occurred while sending your message';

const ROWS: Row[] = [
  ['invalidArgument', 'TEXT_EMPTY', 'Invalid message parameters', 400],
  ['invalidArgument', 'TEXT_TOO_LONG', 'Message exceeds maximum length', 400],
  ['invalidArgument', 'RECEIVER_IS_SENDER', 'Cannot send messages to yourself', 400],
  ['unauthenticated', 'USER_MISSING', 'Authentication required', 401],
  ['permissionDenied', 'ACCESS_DENIED', 'Access denied', 403],
  ['permissionDenied', 'NOT_MESSAGE_SENDER', 'You can only delete your own messages', 403],
  ['permissionDenied', 'NOT_MESSAGE_RECEIVER', 'You can only mark messages sent to you as read', 403],
  ['notFound', 'MESSAGE_NOT_FOUND', 'Message not found', 404],
  ['alreadyExists', 'CLIENT_MESSAGE_ID_REUSED', 'This client message id was already used for another message', 400],
  ['resourceExhausted', 'RATE_LIMITED', 'Too many messages, slow down', 429],
  ['resourceExhausted', 'OVERLOADED', 'The server is overloaded, try again', 503],
];

describe('errors in the words of the web doors', () => {
  test.each(ROWS)('%s %s', (code, reason, text, status) => {
    const error = new ChatError(code, reason, 'core words', { violations: [{ field: 'x', description: 'y' }] });
    expect(hubError(error, true)).toEqual(new HubException(text));
    expect(hubError(error, false)).toEqual(new HubException(text));
    expect(restError(error, true)).toMatchObject({ status, message: text });
  });

  test('a field that is wrong is named as the page names it, and its value is not shown', () => {
    const error = invalidField('receiver_id', 'must not be longer than 128 characters');
    const text = 'Invalid message parameters: receiverId must not be longer than 128 characters';
    expect(hubError(error, true)).toMatchObject({ message: text });
    expect(restError(error, false)).toMatchObject({ status: 400, message: text });
  });

  test.each([
    ['an unknown error', new Error('disk I/O error at /var/lib'), 500],
    ['internal', new ChatError('internal', 'INTERNAL', 'inside', { cause: new Error('cause') }), 500],
    ['unavailable', new ChatError('unavailable', 'STORE_UNAVAILABLE', 'store down'), 503],
  ])('%s while sending is one text, with the cause for the log', (_name, error, status) => {
    const shown = hubError(error, true);
    expect(shown).toBeInstanceOf(HubException);
    expect(shown).toMatchObject({ message: SEND_FAILED, cause: error });
    expect(restError(error, true)).toMatchObject({ status, message: SEND_FAILED, cause: error });
  });

  test('a failure inside the server elsewhere shows nothing of itself', () => {
    const error = new Error('secret');
    expect(hubError(error, false)).toBe(error);
    expect(restError(error, false)).toMatchObject({ status: 500, message: 'Something went wrong inside the server' });
    const down = new ChatError('unavailable', 'STORE_UNAVAILABLE', 'store down');
    const text = 'The server is temporarily unavailable, try again';
    expect(hubError(down, false)).toMatchObject({ message: text, cause: down });
    expect(restError(down, false)).toMatchObject({ status: 503, message: text, headers: { 'Retry-After': '1' } });
  });

  test('who must wait is told how long, in whole seconds', () => {
    const error = new ChatError('resourceExhausted', 'RATE_LIMITED', 'slow', { retryAfterMs: 1200 });
    expect(restError(error, true).headers).toStrictEqual({ 'Retry-After': '2' });
  });
});

describe('refused tokens', () => {
  test('a missing one is asked for', () => {
    expect(tokenError({ code: 'missing', description: 'No token' })).toMatchObject({
      status: 401,
      message: 'Authentication required',
      headers: { 'WWW-Authenticate': 'Bearer' },
    });
  });

  test('a bad one is told why, in a header that nothing can break out of', () => {
    const error = tokenError({ code: 'expired', description: 'The token "x"\r\nexpired' });
    expect(error.status).toBe(401);
    expect(error.headers['WWW-Authenticate']).toBe(
      'Bearer error="invalid_token", error_description="The token  x   expired"',
    );
  });

  test('keys that cannot be fetched are no fault of the token', () => {
    expect(tokenError({ code: 'keysUnavailable', description: 'No keys' })).toMatchObject({ status: 503 });
  });
});
