/**
 * The log: JSON lines with stable event names.
 *
 * Invariant: nothing that a user wrote and no token gets in. Callers pass ids, codes, counts and errors; a path is logged
 * without its query (`safePath`), because tokens travel there. Of an error only name, message, code and stack are taken.
 */
import { type Logger as Pino, pino } from 'pino';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** Facts of one entry: ids, codes, counts; never texts of messages, never tokens. */
export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  debug(event: string, facts?: LogFacts): void;
  info(event: string, facts?: LogFacts): void;
  warn(event: string, facts?: LogFacts, error?: unknown): void;
  error(event: string, facts?: LogFacts, error?: unknown): void;
}

/** A logger that writes to standard output, or to `destination` in tests. */
export function createLogger(level: LogLevel, destination?: { write(line: string): void }): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const log: Pino = destination === undefined ? pino(options) : pino(options, destination);
  return {
    debug: (event, facts) => log.debug({ event, ...facts }),
    info: (event, facts) => log.info({ event, ...facts }),
    warn: (event, facts, error) => log.warn({ event, ...facts, ...describe(error) }),
    error: (event, facts, error) => log.error({ event, ...facts, ...describe(error) }),
  };
}

/** The path of a request target without its query, which may hold a token; at most 200 characters. */
export function safePath(target: string | undefined): string {
  const path = (target ?? '').split(/[?#]/, 1)[0] ?? '';
  return path.slice(0, 200);
}

function describe(error: unknown, depth = 0): { error?: Record<string, unknown> } {
  if (error === undefined) return {};
  if (!(error instanceof Error)) return { error: { type: typeof error } };
  const code =
    'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? error.code : undefined;
  return {
    error: {
      name: error.name,
      // A SyntaxError of JSON.parse quotes what it could not parse, which a user wrote.
      message: error instanceof SyntaxError ? 'not told' : error.message,
      ...(code !== undefined && { code }),
      stack: error.stack?.split('\n').slice(1).join('\n'),
      ...(error.cause !== undefined && depth < 4 && { cause: describe(error.cause, depth + 1).error }),
    },
  };
}
