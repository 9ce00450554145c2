/**
 * The recent moves of a conversation's visible cursors, as one string in the conversation's row. A row in a table of
 * its own for each move would write one more page per move; this way a page is written once for `MAX_RECENT_MOVES`.
 *
 * Per track, moves are ordered by their target, and every recent move lies above all that were spilled to the table.
 */

/** Whose cursor and which one: 0, 1 = the low person's delivered, read; 2, 3 = the high person's. */
export type Track = 0 | 1 | 2 | 3;

/** One move: from then on the cursor stood at `toSeq`. */
export interface Move {
  readonly track: Track;
  readonly toSeq: number;
  readonly atMs: number;
}

/** Moves kept in the row before they are spilled. */
export const MAX_RECENT_MOVES = 24;

export function trackOf(side: 0 | 1, kind: 'delivered' | 'read'): Track {
  return (side * 2 + (kind === 'read' ? 1 : 0)) as Track;
}

/** One move as it is appended to the string. */
export function encodeMove(track: Track, toSeq: number, atMs: number): string {
  return `${track}${toSeq.toString(36)},${atMs.toString(36)};`;
}

export function decodeMoves(text: string): Move[] {
  const moves: Move[] = [];
  for (const entry of text.split(';')) {
    if (entry === '') continue;
    const comma = entry.indexOf(',');
    moves.push({
      track: Number(entry[0]) as Track,
      toSeq: Number.parseInt(entry.slice(1, comma), 36),
      atMs: Number.parseInt(entry.slice(comma + 1), 36),
    });
  }
  return moves;
}
