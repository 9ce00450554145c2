import { describe, expect, test } from 'vitest';
import { createLogger, safePath } from '../../../src/ops/logger.ts';

function capture(): { lines: () => Record<string, unknown>[]; destination: { write(line: string): void } } {
  const written: string[] = [];
  return {
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
    destination: { write: (line) => void written.push(line) },
  };
}

describe('The logger', () => {
  test('writes an event with its facts as a JSON line', () => {
    const { lines, destination } = capture();
    createLogger('info', destination).info('hub.connected', { connectionId: 'c1', sessions: 3 });
    expect(lines()).toEqual([expect.objectContaining({ event: 'hub.connected', connectionId: 'c1', sessions: 3 })]);
  });

  test('keeps to its level', () => {
    const { lines, destination } = capture();
    const log = createLogger('warn', destination);
    log.info('quiet');
    log.warn('loud');
    expect(lines().map((line) => line.event)).toEqual(['loud']);
  });

  test('tells the causes of an error, and of its members only name, message, code and stack', () => {
    const { lines, destination } = capture();
    const cause = Object.assign(new Error('disk full'), { code: 'ENOSPC', sql: 'INSERT … private text' });
    createLogger('info', destination).error('store.failed', {}, new Error('commit failed', { cause }));
    expect(lines()[0]).toMatchObject({
      error: { message: 'commit failed', cause: { message: 'disk full', code: 'ENOSPC' } },
    });
    expect(JSON.stringify(lines())).not.toContain('private text');
  });

  test('the message of a syntax error is left out, because it quotes the input', () => {
    const { lines, destination } = capture();
    const log = createLogger('info', destination);
    try {
      JSON.parse('private text');
    } catch (error) {
      log.error('odd', {}, error);
    }
    expect(lines()[0]).toMatchObject({ error: { name: 'SyntaxError' } });
    expect(JSON.stringify(lines())).not.toContain('private');
  });

  test('a value that is thrown but no error is named by its type only', () => {
    const { lines, destination } = capture();
    createLogger('info', destination).error('odd', {}, 'private text');
    expect(lines()[0]).toMatchObject({ error: { type: 'string' } });
    expect(JSON.stringify(lines())).not.toContain('private text');
  });

  test('a path loses its query, where tokens travel', () => {
    expect(safePath('/chathub?access_token=secret')).toBe('/chathub');
    expect(safePath('/a#b')).toBe('/a');
    expect(safePath(undefined)).toBe('');
    expect(safePath('/'.repeat(500))).toHaveLength(200);
  });
});
