/**
 * The types a hub method's parameters can have, and how an argument that has already been decoded is checked against one.
 *
 * There is no coercion, as in the reference: `"1"` is no int, `1.5` is no int, only a string parameter takes null.
 * Knows nothing of any wire format; a codec calls `bindValue` after it has settled what only the wire can tell
 * (for JSON: whether an integer was written as `1` or as `1.0`).
 */

/** What the wire value must be. `json` is `any` with numbers kept as they were written (see `param.json`). */
export type ParameterKind = 'string' | 'int' | 'number' | 'bool' | 'any' | 'json';

/** One declared parameter of a hub method. Make it with `param`. */
export interface Parameter<Value = unknown> {
  /** Of the argument, or of each item of an upload stream. */
  readonly kind: ParameterKind;
  /** Whether the client sends it as a stream of items beside the arguments. */
  readonly isStream?: true;
  /** Present when the argument may be left out or be null; it then has this value. */
  readonly fallback?: { readonly value: Value };
}

/** The argument types of a parameter list, for the handler's signature. */
export type ArgumentsOf<Parameters extends readonly Parameter[]> = {
  -readonly [Index in keyof Parameters]: Parameters[Index] extends Parameter<infer Value> ? Value : never;
};

/** The parameter types of a hub method. */
export const param = {
  /** A string of well-formed Unicode, or null. */
  string: { kind: 'string' } as Parameter<string | null>,
  /** A whole number of 32 bits with sign, written without fraction and exponent (`1.0` does not pass). */
  int: { kind: 'int' } as Parameter<number>,
  /** Any finite number. */
  number: { kind: 'number' } as Parameter<number>,
  /** true or false. */
  bool: { kind: 'bool' } as Parameter<boolean>,
  /** Any value, as JavaScript sees it: 1.0 is 1, and a whole number over 2^53 loses digits. */
  any: { kind: 'any' } as Parameter<unknown>,
  /**
   * Any value that is only handed on. As `any`, but a number that JavaScript cannot give back as it was written is a
   * `JSON.rawJSON` object, so that the value goes out again with the same digits.
   */
  json: { kind: 'json' } as Parameter<unknown>,
  /**
   * A parameter that may be left out, also in the middle by null; it then has the value `fallback`.
   * Optional parameters stand last. (The reference has none: its clients must always send every argument.)
   */
  optional<Value>(parameter: Parameter<Value>, fallback: NonNullable<Value> | null): Parameter<Value> {
    return { kind: parameter.kind, fallback: { value: fallback as Value } };
  },
  /**
   * An upload stream: the handler gets its items as they arrive, each checked against `item`. It stands among the parameters where
   * the handler wants it, and does not count as an argument.
   */
  stream<Value>(item: Parameter<Value>): Parameter<AsyncIterable<Value>> {
    return { kind: item.kind, isStream: true };
  },
} as const;

/** The number of arguments a call must at least have; `parameters` without streams. Throws TypeError when an optional parameter stands before a required one. */
export function requiredCount(parameters: readonly Parameter[]): number {
  let required = 0;
  parameters.forEach((parameter, index) => {
    if (parameter.fallback !== undefined) return;
    if (required !== index) throw new TypeError('An optional parameter must not stand before a required one');
    required = index + 1;
  });
  return required;
}

/** Whether `value` is of the kind; numbers may still have been written in a form that an int does not allow. */
export function isOfKind(kind: ParameterKind, value: unknown): boolean {
  switch (kind) {
    case 'string':
      // A lone surrogate is no text: it cannot be written out again as UTF-8.
      return value === null || (typeof value === 'string' && value.isWellFormed());
    case 'int':
      return typeof value === 'number' && (value | 0) === value;
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'bool':
      return typeof value === 'boolean';
    case 'any':
    case 'json':
      return true;
  }
}
