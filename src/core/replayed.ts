/**
 * Which messages a session was brought from the store, so that it knows them again when the stream brings them too: at once,
 * or after an outage of the broker, when the publishers of other instances get rid of what has waited for it.
 *
 * Kept as runs of seqs by sender, however many messages, until the stream has gone past them. What is more than the bounds is
 * forgotten, oldest first: those messages come again, rather than not at all.
 */
import type { Message } from './message.ts';

/** Most senders that are remembered. */
const MAX_SENDERS = 1000;
/** Most runs of one sender; deleted messages part them. */
const MAX_RUNS = 100;

interface Run {
  readonly from: number;
  to: number;
}

export class Replayed {
  /** Ascending runs that do not touch; whoever was replayed last comes last. */
  readonly #senders = new Map<string, Run[]>();

  get senders(): number {
    return this.#senders.size;
  }

  add({ senderId, seq }: Pick<Message, 'senderId' | 'seq'>): void {
    const runs = this.#senders.get(senderId) ?? [];
    this.#senders.delete(senderId);
    this.#senders.set(senderId, runs);
    if (!extend(runs, seq)) insert(runs, seq);
    if (runs.length > MAX_RUNS) runs.shift();
    if (this.#senders.size <= MAX_SENDERS) return;
    for (const oldest of this.#senders.keys()) {
      this.#senders.delete(oldest);
      break;
    }
  }

  /** Whether this message, which the stream brings now, was replayed. */
  has({ senderId, seq }: Pick<Message, 'senderId' | 'seq'>): boolean {
    const runs = this.#senders.get(senderId);
    if (runs === undefined) return false;
    const newest = runs.at(-1);
    // A stream has the messages of a conversation in order.
    if (newest === undefined || seq > newest.to) this.#senders.delete(senderId);
    return runs.some(({ from, to }) => from <= seq && seq <= to);
  }
}

/** A replay goes upwards, so this is the rule. */
function extend(runs: readonly Run[], seq: number): boolean {
  const newest = runs.at(-1);
  if (newest === undefined || seq < newest.from || seq > newest.to + 1) return false;
  newest.to = Math.max(newest.to, seq);
  return true;
}

/** Behind the newest run, or anywhere: a second replay begins below where the first one ended. */
function insert(runs: Run[], seq: number): void {
  const at = runs.findIndex(({ to }) => seq <= to + 1);
  const [run, next] = at === -1 ? [] : [runs[at], runs[at + 1]];
  if (run === undefined || seq < run.from - 1) runs.splice(at === -1 ? runs.length : at, 0, { from: seq, to: seq });
  else if (seq === run.from - 1) runs[at] = { from: seq, to: run.to };
  else if (seq === run.to + 1 && next?.from === seq + 1) runs.splice(at, 2, { from: run.from, to: next.to });
  else run.to = Math.max(run.to, seq);
}
