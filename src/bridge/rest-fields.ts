/**
 * The arguments of a REST call. Callers write keys in camelCase or PascalCase and put some into the query; so they are
 * looked up without regard to letter case, first in the body, then in the query. Null counts as absent.
 */
import { INVALID_PARAMETERS } from './error-texts.ts';
import { RestError } from './rest-errors.ts';

export class RestFields {
  readonly #values = new Map<string, unknown>();

  constructor(query: URLSearchParams, body: Readonly<Record<string, unknown>> = {}) {
    for (const [key, value] of query) this.#values.set(key.toLowerCase(), value);
    for (const [key, value] of Object.entries(body)) {
      if (value !== null) this.#values.set(key.toLowerCase(), value);
    }
  }

  /** A text; undefined if absent or empty. @throws RestError 400 for another type. */
  text(name: string): string | undefined {
    const value = this.#values.get(name.toLowerCase());
    if (value === undefined || value === '') return undefined;
    if (typeof value !== 'string') throw invalid(name, 'must be a string');
    return value;
  }

  /** A text that must be there. @throws RestError 400. */
  required(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw invalid(name, 'must not be empty');
    return value;
  }

  /** A whole number from `least` to 2^31 - 1. @throws RestError 400. */
  count(name: string, byDefault: number, least: number): number {
    const value = this.#values.get(name.toLowerCase());
    if (value === undefined || value === '') return byDefault;
    const count = typeof value === 'string' && /^-?[0-9]{1,10}$/.test(value) ? Number(value) : value;
    if (typeof count !== 'number' || !Number.isInteger(count) || count < least || count > 0x7fff_ffff) {
      throw invalid(name, `must be a whole number from ${least}`);
    }
    return count;
  }

  /** A time as the client wrote it, in whatever form; undefined if absent. @throws RestError 400. */
  timestamp(name: string): string | undefined {
    const value = this.#values.get(name.toLowerCase());
    if (value === undefined || value === '') return undefined;
    const isTime = typeof value === 'number' || (typeof value === 'string' && value.length <= MAX_TIMESTAMP_LENGTH);
    if (!isTime) throw invalid(name, 'must be a time');
    return String(value).toWellFormed();
  }
}

const MAX_TIMESTAMP_LENGTH = 64;

function invalid(name: string, description: string): RestError {
  return new RestError(400, `${INVALID_PARAMETERS}: ${name} ${description}`);
}
