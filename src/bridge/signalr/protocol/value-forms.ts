/**
 * The values that a hub sends, in the form that a codec's serialiser takes: dates, bytes and exact numbers as the protocol has
 * them, members under their names on the wire.
 *
 * A value in which nothing needs another form is handed on as it is, without a copy; nothing is ever changed in place.
 * `toJSON` is honoured in every protocol, so that an object says the same in all of them.
 */
import { sourceOfRaw } from './json-source.ts';
import type { Rename } from './member-names.ts';

/** What a protocol has special forms for. */
export interface ValueForms {
  /** Names of members; undefined: as they are. */
  readonly rename: Rename | undefined;
  /** A valid date. */
  date(value: Date): unknown;
  bytes(value: Uint8Array): unknown;
  /** The value of a `JSON.rawJSON` object with this text; undefined: the serialiser knows such objects. */
  readonly raw: ((source: string) => unknown) | undefined;
  /** Everything that is no object; undefined: the serialiser takes it as it is. */
  readonly scalar: ((value: unknown) => unknown) | undefined;
}

/** Depth of nesting a value may have; what clients of the reference read is not nested deeper. */
const MAXIMUM_DEPTH = 64;

/** `value` in the forms of a protocol. Throws TypeError for what has no form: nested over 64 deep or in a circle, an invalid date, a typed array. */
export function formOf(value: unknown, forms: ValueForms, allowedDepth = MAXIMUM_DEPTH): unknown {
  if (typeof value !== 'object' || value === null) return forms.scalar === undefined ? value : forms.scalar(value);
  if (Array.isArray(value)) return arrayForm(value, forms, within(allowedDepth));
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new TypeError('An invalid date cannot be serialised');
    return forms.date(value);
  }
  if (value instanceof Uint8Array) return forms.bytes(value);
  if (ArrayBuffer.isView(value)) throw new TypeError('Of typed arrays only a Uint8Array can be serialised');
  const source = sourceOfRaw(value);
  if (source !== undefined) return forms.raw === undefined ? value : forms.raw(source);
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === 'function') return formOf(toJSON.call(value, ''), forms, within(allowedDepth));
  return objectForm(value as Record<string, unknown>, forms, within(allowedDepth));
}

function isScalar(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

/**
 * Whether `value` holds only arrays, objects without a class and scalars: then it needs no form where scalars and names need none.
 * Several times cheaper than `formOf`; may say no where it could say yes.
 */
export function isPlain(value: unknown, allowedDepth = MAXIMUM_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (allowedDepth === 0) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const item: unknown = value[index];
      if (typeof item === 'object' && item !== null && !isPlain(item, allowedDepth - 1)) return false;
    }
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const name in value) {
    const member = (value as Record<string, unknown>)[name];
    // A function may be toJSON.
    if (typeof member === 'function') return false;
    if (typeof member === 'object' && member !== null && !isPlain(member, allowedDepth - 1)) return false;
  }
  return true;
}

function within(allowedDepth: number): number {
  if (allowedDepth === 0) throw new TypeError('A value that is nested too deep or in a circle cannot be serialised');
  return allowedDepth - 1;
}

function arrayForm(items: readonly unknown[], forms: ValueForms, allowedDepth: number): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index];
    if (forms.scalar === undefined && isScalar(item)) continue;
    const form = formOf(item, forms, allowedDepth);
    if (form === item) continue;
    copy ??= [...items];
    copy[index] = form;
  }
  return copy ?? items;
}

function objectForm(members: Record<string, unknown>, forms: ValueForms, allowedDepth: number): unknown {
  const { rename } = forms;
  const names = Object.keys(members);
  let copy: Record<string, unknown> | undefined;
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] ?? '';
    const member = members[name];
    const form = forms.scalar === undefined && isScalar(member) ? member : formOf(member, forms, allowedDepth);
    const written = rename === undefined ? name : rename(name);
    if (copy === undefined) {
      if (form === member && written === name) continue;
      copy = {};
      for (const earlier of names.slice(0, index)) setMember(copy, earlier, members[earlier]);
    }
    setMember(copy, written, form);
  }
  return copy ?? members;
}

function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') {
    object[name] = value;
    return;
  }
  // An assignment would change the prototype.
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
