import { inspect } from 'node:util';

/** A text that must not be seen: printing, inspecting or serialising it shows only that it is there. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself. Pass it on to what needs it and to nothing else. */
  reveal(): string {
    return this.#text;
  }

  /** The text as UTF-8. */
  bytes(): Uint8Array {
    return new TextEncoder().encode(this.#text);
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
