import { expect, test } from 'vitest';
import { ChatError, invalidField } from '../../../src/core/errors.ts';

test('an unknown error becomes internal, tells nothing and keeps its cause for the log', () => {
  const cause = new Error('password=hunter2');
  const error = ChatError.from(cause);
  expect(error).toMatchObject({ code: 'internal', reason: 'INTERNAL', violations: [], retryAfterMs: undefined });
  expect(error.message).not.toContain('hunter2');
  expect(error.cause).toBe(cause);
  expect(ChatError.from('thrown text').cause).toBe('thrown text');
});

test('a chat error stays itself', () => {
  const error = new ChatError('notFound', 'MESSAGE_NOT_FOUND', 'Message not found');
  expect(ChatError.from(error)).toBe(error);
  expect('cause' in error).toBe(false);
  expect(error).toBeInstanceOf(Error);
});

test('a wrong field is named with what was expected', () => {
  expect(invalidField('text', 'must be a string')).toMatchObject({
    code: 'invalidArgument',
    message: 'text: must be a string',
    violations: [{ field: 'text', description: 'must be a string' }],
  });
});
