/**
 * The kinds of settings. A setting carries everything there is to know of it: name, meaning, unit, bounds, default and a
 * parser from the text of the environment. Parsers say what they expected; they never repeat what was given, which may
 * be a secret in the wrong place.
 */
import { z } from 'zod';
import { Secret } from './secret.ts';

/** One setting, read from one environment variable. */
export interface Setting<T> {
  readonly env: string;
  /** Sentence without a full stop. */
  readonly description: string;
  /** What is expected, as text for help and mistakes: kind, unit, bounds. */
  readonly expected: string;
  /** The default as the help shows it. */
  readonly shownDefault: string;
  /** The value when the variable is absent or empty. */
  readonly fallback: T;
  readonly parser: z.ZodType<T, string>;
}

interface Common {
  readonly env: string;
  readonly description: string;
}

interface IntegerOptions extends Common {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** For example `ms`, `bytes`, `connections`. */
  readonly unit?: string;
}

/** A whole number within bounds. */
export function integer(options: IntegerOptions): Setting<number> {
  const { min, max, unit } = options;
  const expected = `a whole number${unit === undefined ? '' : ` of ${unit}`} from ${min} to ${max}`;
  return {
    ...options,
    expected,
    shownDefault: String(options.default),
    fallback: options.default,
    parser: z
      .string()
      .trim()
      .regex(/^-?\d{1,15}$/, expected)
      .transform(Number)
      .pipe(z.number().min(min, expected).max(max, expected)),
  };
}

interface TextOptions extends Common {
  readonly default: string;
  readonly expected?: string;
  readonly check?: (text: string) => boolean;
}

/** A text that is never empty. */
export function text(options: TextOptions): Setting<string> {
  const { check = () => true, expected = 'a text' } = options;
  return {
    ...options,
    expected,
    shownDefault: options.default,
    fallback: options.default,
    parser: z.string().trim().refine(check, expected),
  };
}

interface OptionalTextOptions extends Common {
  readonly expected: string;
  readonly check?: (text: string) => boolean;
}

/** A text that may be absent. */
export function optionalText(options: OptionalTextOptions): Setting<string | undefined> {
  const { check = () => true, expected } = options;
  return { ...options, shownDefault: 'none', fallback: undefined, parser: z.string().trim().refine(check, expected) };
}

/** A secret that may be absent, with a least length in bytes. */
export function secret(options: Common & { readonly minBytes: number }): Setting<Secret | undefined> {
  const expected = `a secret of at least ${options.minBytes} bytes`;
  return {
    ...options,
    expected,
    shownDefault: 'none',
    fallback: undefined,
    parser: z
      .string()
      .refine((given) => Buffer.byteLength(given) >= options.minBytes, expected)
      .transform((given) => new Secret(given)),
  };
}

/** A URL that may be absent and may carry a password. */
export function secretUrl(options: Common & { readonly schemes: readonly string[] }): Setting<Secret | undefined> {
  const begins = options.schemes.map((scheme) => `${scheme}://`);
  const expected = `a URL that begins with ${begins.join(' or ')}`;
  return {
    ...options,
    expected,
    shownDefault: 'none',
    fallback: undefined,
    parser: z
      .string()
      .trim()
      .refine((given) => begins.some((begin) => given.startsWith(begin)), expected)
      .transform((given) => new Secret(given)),
  };
}

/** One of several words. */
export function choice<const T extends string>(
  options: Common & { readonly of: readonly T[]; readonly default: T },
): Setting<T> {
  const expected = `one of ${options.of.join(', ')}`;
  return {
    ...options,
    expected,
    shownDefault: options.default,
    fallback: options.default,
    parser: z.string().trim().pipe(z.enum(options.of, expected)),
  };
}

/** Yes or no. */
export function flag(options: Common & { readonly default: boolean }): Setting<boolean> {
  const expected = 'true or false';
  return {
    ...options,
    expected,
    shownDefault: String(options.default),
    fallback: options.default,
    parser: z
      .string()
      .trim()
      .regex(/^(true|false|1|0)$/i, expected)
      .transform((given) => given === '1' || given.toLowerCase() === 'true'),
  };
}
