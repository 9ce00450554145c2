/**
 * The numbers of stateful reconnect where two servers do not send the same: a Sequence and an Ack count every record that carries a call,
 * also those that a comparison does not look at. Here they become numbers of what is looked at, and back.
 */
import type { Expected } from './compare.ts';
import type { Observed } from './raw-client.ts';

const ACK = /"type":8,"sequenceId":(\d+)/;
/** Invocation, stream item, completion: what servers send of counted records. */
const COUNTED = /^\{"type":[123],/;
const SEQUENCE = /^\{"type":9,"sequenceId":(\d+)\}$/;

/** Connections whose labels differ only in a number at the end are one, on several transports. */
export function connectionOf(label: string): string {
  return label.replace(/\d+$/, '');
}

/** What the server of one connection has sent, in the order of its numbers. */
export class Numbering {
  readonly #isIgnored: boolean[] = [];
  #next = 1;

  /** Counts what the server sends; answers it with the number that it has without the ignored ones. */
  take<T extends Expected | Observed>(item: T, isIgnored: boolean): T {
    if (item.kind !== 'record') return item;
    const [, sequenceId] = SEQUENCE.exec(item.text) ?? [];
    if (sequenceId !== undefined) {
      this.#next = Number(sequenceId);
      return { ...item, text: JSON.stringify({ type: 9, sequenceId: this.seen(this.#next - 1) + 1 }) };
    }
    if (!COUNTED.test(item.text)) return item;
    this.#isIgnored[this.#next - 1] = isIgnored;
    this.#next += 1;
    return item;
  }

  /** How many of the first `id` are looked at. */
  seen(id: number): number {
    return this.#isIgnored.slice(0, id).filter((isIgnored) => !isIgnored).length;
  }

  /** The number of the one that is the `seen`th of those looked at. */
  idOf(seen: number): number {
    for (let id = 0; id <= this.#isIgnored.length; id += 1) if (this.seen(id) >= seen) return id;
    return this.#isIgnored.length;
  }
}

/** `text` with the Ack in it, if there is one, for what `actual` has sent in place of what `recorded` sent. */
export function withAckFor(text: string, recorded: Numbering | undefined, actual: Numbering | undefined): string {
  const [, id] = ACK.exec(text) ?? [];
  if (id === undefined || recorded === undefined || actual === undefined) return text;
  return text.replace(ACK, `"type":8,"sequenceId":${actual.idOf(recorded.seen(Number(id)))}`);
}

/** The numberings of a whole script, and the script in their numbers. */
export function numbered<T extends Expected | Observed>(
  script: ReadonlyMap<string, readonly T[]>,
  isIgnored: (item: T) => boolean,
): { readonly numberings: ReadonlyMap<string, Numbering>; readonly script: Map<string, readonly T[]> } {
  const numberings = new Map<string, Numbering>();
  const result = new Map<string, readonly T[]>();
  for (const [label, items] of script) {
    const name = connectionOf(label);
    const numbering = numberings.get(name) ?? new Numbering();
    numberings.set(name, numbering);
    const taken = items.map((item) => numbering.take(item, isIgnored(item)));
    result.set(label, taken);
  }
  return { numberings, script: result };
}
