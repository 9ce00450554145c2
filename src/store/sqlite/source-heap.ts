/** The merge of a replay: the conversations that have a part in it, by the place of their next message. */
import type { Message } from '../../core/message.ts';
import type { ReplayCursor } from '../../core/ports.ts';
import type { OwnConversation } from './conversation-lookup.ts';

/** One conversation's part of a replay: messages in order, fetched as they are needed. */
export interface Source {
  readonly conversation: OwnConversation;
  readonly senderId: string;
  readonly messages: Message[];
  at: number;
}

/** The order of a replay. */
export function comparePlaces(a: ReplayCursor, b: ReplayCursor): number {
  if (a.sentAtMs !== b.sentAtMs) return a.sentAtMs - b.sentAtMs;
  if (a.senderId !== b.senderId) return a.senderId < b.senderId ? -1 : 1;
  return a.seq - b.seq;
}

/** Sources by their next message, earliest first; a binary heap, so that many senders cost a logarithm each. */
export class SourceHeap {
  readonly #items: Source[];

  constructor(sources: Source[]) {
    this.#items = sources;
    for (let index = Math.floor(sources.length / 2) - 1; index >= 0; index -= 1) this.#sink(index);
  }

  get first(): Source | undefined {
    return this.#items[0];
  }

  /** Restores the order after the first source moved on or ran dry. */
  settleFirst(): void {
    const first = this.#items[0];
    if (first !== undefined && first.messages.length === 0) {
      const last = this.#items.pop();
      if (last !== undefined && last !== first) this.#items[0] = last;
    }
    this.#sink(0);
  }

  #sink(start: number): void {
    let index = start;
    for (;;) {
      let least = index;
      for (const child of [2 * index + 1, 2 * index + 2]) if (this.#before(child, least)) least = child;
      if (least === index) return;
      const [a, b] = [this.#items[index], this.#items[least]];
      if (a === undefined || b === undefined) return;
      this.#items[index] = b;
      this.#items[least] = a;
      index = least;
    }
  }

  #before(a: number, b: number): boolean {
    const [first, second] = [this.#next(a), this.#next(b)];
    return first !== undefined && (second === undefined || comparePlaces(first, second) < 0);
  }

  #next(index: number): Message | undefined {
    const source = this.#items[index];
    return source?.messages[source.at];
  }
}
