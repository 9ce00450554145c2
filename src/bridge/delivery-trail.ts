/**
 * What one connection was sent lately, by proof of receipt: from when on it may lack messages, and which of the latest it
 * surely has. Unlike the ReceiptLog it does not care what the person acknowledged, which another device may have done.
 *
 * Bounded: of very many unproven messages neighbours are taken together, of the proven ones only the latest are kept.
 * Either costs repeats, never a message.
 */
import { COMMIT_MARGIN_MS } from './gap.ts';

/** A message, or several neighbours that are proven together. */
interface Unproven {
  /** Of the last of them. */
  readonly mark: number;
  /** Of the oldest of them. */
  readonly sentAtMs: number;
  readonly id: string | undefined;
}

interface Proven {
  readonly id: string;
  readonly sentAtMs: number;
}

export const MAX_UNPROVEN = 256;
export const MAX_PROVEN = 32;

export class DeliveryTrail {
  #unproven: Unproven[] = [];
  #proven: Proven[] = [];

  /** Entries kept. */
  get size(): number {
    return this.#unproven.length + this.#proven.length;
  }

  /** When the oldest message was sent that is not proven to have arrived; undefined = everything is. */
  get oldestUnprovenMs(): number | undefined {
    if (this.#unproven.length === 0) return undefined;
    return this.#unproven.reduce((oldest, { sentAtMs }) => Math.min(oldest, sentAtMs), Number.POSITIVE_INFINITY);
  }

  /** A message went out under `mark`. Marks grow. */
  sent(mark: number, id: string, sentAtMs: number): void {
    if (this.#unproven.length >= MAX_UNPROVEN) this.#unproven = inPairs(this.#unproven);
    this.#unproven.push({ mark, id, sentAtMs });
  }

  /** Everything up to `mark` has arrived. */
  proven(mark: number): void {
    const firstLeft = this.#unproven.findIndex((entry) => entry.mark > mark);
    const count = firstLeft === -1 ? this.#unproven.length : firstLeft;
    if (count === 0) return;
    const arrived = this.#unproven.splice(0, count);
    const kept = [...this.#proven, ...arrived.slice(-MAX_PROVEN).flatMap(withId)].slice(-MAX_PROVEN);
    // What is older than the margin before the newest is never asked for: a gap without unproven messages begins later.
    const oldestMs = Math.max(...kept.map(({ sentAtMs }) => sentAtMs)) - COMMIT_MARGIN_MS;
    this.#proven = kept.filter(({ sentAtMs }) => sentAtMs >= oldestMs);
  }

  /** Ids of messages that were sent since this time and have arrived, as far as they are kept. */
  provenSince(sinceMs: number): Set<string> {
    return new Set(this.#proven.filter(({ sentAtMs }) => sentAtMs >= sinceMs).map(({ id }) => id));
  }
}

function withId({ id, sentAtMs }: Unproven): Proven[] {
  return id === undefined ? [] : [{ id, sentAtMs }];
}

function inPairs(entries: readonly Unproven[]): Unproven[] {
  const pairs: Unproven[] = [];
  for (let index = 0; index < entries.length; index += 2) {
    const [first, second] = [entries[index], entries[index + 1]];
    if (first === undefined) break;
    if (second === undefined) pairs.push(first);
    else {
      pairs.push({ mark: second.mark, sentAtMs: Math.min(first.sentAtMs, second.sentAtMs), id: undefined });
    }
  }
  return pairs;
}
