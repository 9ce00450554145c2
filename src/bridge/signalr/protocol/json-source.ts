/**
 * What `JSON.parse` forgets: how a number was written, and how deep a record is nested.
 *
 * Both are answered from cheap tests first, because nearly every record is small, flat and has only plain integers.
 */

/** Depth of nesting a record may have (System.Text.Json's default, which existing clients live with). */
const MAXIMUM_DEPTH = 64;

/** A number that does not come back from JavaScript as it was written has one of these in it. */
const INEXACT = /[0-9][.eE]|-0|[0-9]{16}/;

interface ReviverContext {
  readonly source?: string;
}

type Reviver = (this: unknown, key: string, value: unknown, context: ReviverContext) => unknown;

interface JsonWithSource {
  parse(text: string, reviver: Reviver): unknown;
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}

// All are part of ES2026, and not yet of TypeScript's library.
const json = JSON as unknown as JsonWithSource;

/** Whether some number in `text` may have been written in another form than JavaScript would write it. May err on the side of yes. */
export function mayHoldInexactNumber(text: string): boolean {
  return INEXACT.test(text);
}

/** A `JSON.rawJSON` object for a number that JavaScript would write differently than `source`. */
export function exactNumber(source: string): unknown {
  return json.rawJSON(source);
}

/** The text of a `JSON.rawJSON` object; undefined: `value` is none. */
export function sourceOfRaw(value: object): string | undefined {
  // They alone have their text as a member and no prototype; the check is for the many objects that have one.
  if (Object.getPrototypeOf(value) !== null || !json.isRawJSON(value)) return undefined;
  return (value as { readonly rawJSON: string }).rawJSON;
}

/** A number together with its text, in the place where `parseWithSources` found a number. */
export class SourcedNumber {
  readonly value: number;
  readonly source: string;

  constructor(value: number, source: string) {
    this.value = value;
    this.source = source;
  }
}

/** Parses like `JSON.parse`, with a `SourcedNumber` for every number. Several times slower: only for records that need it. */
export function parseWithSources(text: string): unknown {
  return json.parse(text, (_key, value, context) =>
    typeof value === 'number' ? new SourcedNumber(value, context.source ?? String(value)) : value,
  );
}

/** Undoes `parseWithSources`; `exact` keeps numbers that JavaScript would write differently as `JSON.rawJSON` objects. */
export function withoutSources(value: unknown, exact: boolean): unknown {
  if (value instanceof SourcedNumber) {
    return exact && String(value.value) !== value.source ? exactNumber(value.source) : value.value;
  }
  if (Array.isArray(value)) return value.map((item) => withoutSources(item, exact));
  if (typeof value !== 'object' || value === null) return value;
  for (const key of Object.keys(value)) {
    // defineProperty: a member called __proto__ must stay a member.
    Object.defineProperty(value, key, {
      value: withoutSources((value as Record<string, unknown>)[key], exact),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return value;
}

/** Whether the record `value`, parsed from `textLength` characters, is nested deeper than allowed. */
export function isTooDeep(value: object, textLength: number): boolean {
  return textLength > 2 * MAXIMUM_DEPTH && exceeds(value, MAXIMUM_DEPTH);
}

function exceeds(value: object, allowed: number): boolean {
  if (allowed === 0) return true;
  if (Array.isArray(value)) {
    for (const item of value) {
      if (typeof item === 'object' && item !== null && exceeds(item, allowed - 1)) return true;
    }
    return false;
  }
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    if (typeof member === 'object' && member !== null && exceeds(member, allowed - 1)) return true;
  }
  return false;
}
