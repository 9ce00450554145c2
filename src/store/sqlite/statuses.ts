/** Derives the statuses of messages, and when they were reached, from the receivers' cursors and their moves. */
import type { Message, MessageView } from '../../core/message.ts';
import type { SideIndex } from './conversation-state.ts';
import type { Database } from './database.ts';
import { decodeMoves, type Move, type Track, trackOf } from './move-log.ts';

/** What deriving needs of a conversation. */
export interface CursorState {
  readonly key: number;
  /** Visible cursors of the low and the high person. */
  readonly cursors: readonly [Visible, Visible];
  readonly moves: string;
}

export interface Visible {
  readonly delivered: number;
  readonly read: number;
}

/** A message and who of the two sent it. */
export interface Sent {
  readonly message: Message;
  readonly sender: SideIndex;
}

export class Statuses {
  readonly #moves;

  constructor(database: Database) {
    this.#moves = database.prepare<readonly [toSeq: number, atMs: number]>(
      'SELECT to_seq, at_ms FROM cursor_move WHERE conversation = ? AND track = ? AND to_seq >= ? ORDER BY to_seq LIMIT ?',
    );
  }

  /** Views of messages of one conversation, given oldest first. */
  derive(state: CursorState, sent: readonly Sent[]): MessageView[] {
    const recent = state.moves === '' ? [] : decodeMoves(state.moves);
    const times = ([0, 1] as const).map((side) => {
      const { delivered, read } = state.cursors[side];
      const received = sent.filter((item) => item.sender !== side).map((item) => item.message.seq);
      return {
        delivered: this.#times(state.key, trackOf(side, 'delivered'), recent, received, delivered),
        read: this.#times(state.key, trackOf(side, 'read'), recent, received, read),
      };
    });
    return sent.map(({ message, sender }) => {
      const receiver: SideIndex = sender === 0 ? 1 : 0;
      const { delivered, read } = state.cursors[receiver];
      const deliveredAtMs = times[receiver]?.delivered.get(message.seq);
      const readAtMs = times[receiver]?.read.get(message.seq);
      return {
        ...message,
        status: message.seq <= read ? 'read' : message.seq <= delivered ? 'delivered' : 'sent',
        ...(deliveredAtMs !== undefined && { deliveredAtMs }),
        ...(readAtMs !== undefined && { readAtMs }),
      };
    });
  }

  /** By seq: the time of the first move that covered it, for the given seqs up to the cursor. Both ascend. */
  #times(
    conversation: number,
    track: Track,
    recent: readonly Move[],
    seqs: readonly number[],
    cursor: number,
  ): Map<number, number> {
    const times = new Map<number, number>();
    const covered = seqs.filter((seq) => seq <= cursor);
    const first = covered[0];
    const last = covered.at(-1);
    if (first === undefined || last === undefined) return times;
    const moves: (readonly [toSeq: number, atMs: number])[] = [];
    // A recent move below the first seq proves that nothing in the table reaches it.
    if (!recent.some((move) => move.track === track && move.toSeq < first)) {
      moves.push(...this.#moves.all(conversation, track, first, last - first + 1));
    }
    for (const move of recent) if (move.track === track && move.toSeq >= first) moves.push([move.toSeq, move.atMs]);
    let index = 0;
    for (const seq of covered) {
      while ((moves[index]?.[0] ?? Number.POSITIVE_INFINITY) < seq) index += 1;
      const move = moves[index];
      if (move !== undefined) times.set(seq, move[1]);
    }
    return times;
  }
}
