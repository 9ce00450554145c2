/** Derives the statuses of messages, and when they were reached, from the receivers' cursors and their moves. */
import type { MessageView } from '../../core/message.ts';
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, chunks, cursorsOf, ONE_ANSWER, type Rows } from './conversations.ts';
import { type MessageDocument, type Track, toMessage } from './documents.ts';
import { otherSide, rowKey, type Side } from './keys.ts';

type Times = ReadonlyMap<string, number>;

export class Statuses {
  readonly #collections: Collections;

  constructor(collections: Collections) {
    this.#collections = collections;
  }

  /** Views of messages of one conversation, given oldest first. */
  async derive(rows: Rows, messages: readonly MessageDocument[]): Promise<MessageView[]> {
    const asked = ([0, 1] as const).flatMap((side) =>
      (['delivered', 'read'] as const).map((track) => this.#times(rows, messages, side, track)),
    );
    const times = new Map((await Promise.all(asked)).flatMap((found) => [...found]));
    return messages.map((message) => toView(rows, message, times));
  }

  /** Views of the newest message of each of many conversations: a cursor that has passed it stands on it. */
  async deriveNewest(newest: readonly { rows: Rows; message: MessageDocument }[]): Promise<MessageView[]> {
    const asked = newest.flatMap(({ rows, message }) => {
      const receiver = otherSide(message.f);
      const cursors = cursorsOf(rows[receiver]);
      const row = rowKey(message.c, receiver);
      return (['delivered', 'read'] as const).flatMap((k) =>
        cursors[k] >= message.s ? [{ row, k, to: message.s }] : [],
      );
    });
    const times = new Map<string, number>();
    for (const chunk of chunks(asked, CHUNK)) {
      for (const { k, row, to, at } of await this.#collections.moves.find(alternatives(chunk), ONE_ANSWER).toArray()) {
        times.set(timeKey(row, k, to), at);
      }
    }
    return newest.map(({ rows, message }) => toView(rows, message, times));
  }

  /** When the first move covered each of the messages to one person. */
  async #times(rows: Rows, messages: readonly MessageDocument[], side: Side, k: Track): Promise<Times> {
    const cursor = cursorsOf(rows[side])[k];
    const covered = messages.filter((message) => message.f !== side && message.s <= cursor);
    const [first] = covered;
    const last = covered.at(-1);
    const times = new Map<string, number>();
    if (first === undefined || last === undefined) return times;
    const row = rowKey(first.c, side);
    // Targets are distinct, so as many moves as there are places cover them all.
    const moves = await this.#collections.moves
      .find({ row, k, to: { $gte: first.s } }, ONE_ANSWER)
      .sort({ row: 1, k: 1, to: 1 })
      .limit(last.s - first.s + 1)
      .toArray();
    let index = 0;
    for (const { s } of covered) {
      while ((moves[index]?.to ?? Number.POSITIVE_INFINITY) < s) index += 1;
      const move = moves[index];
      if (move !== undefined) times.set(timeKey(row, k, s), move.at);
    }
    return times;
  }
}

function toView(rows: Rows, message: MessageDocument, times: Times): MessageView {
  const receiver = otherSide(message.f);
  const { delivered, read } = cursorsOf(rows[receiver]);
  const row = rowKey(message.c, receiver);
  const deliveredAtMs = times.get(timeKey(row, 'delivered', message.s));
  const readAtMs = times.get(timeKey(row, 'read', message.s));
  return {
    ...toMessage(message),
    status: message.s <= read ? 'read' : message.s <= delivered ? 'delivered' : 'sent',
    ...(deliveredAtMs !== undefined && { deliveredAtMs }),
    ...(readAtMs !== undefined && { readAtMs }),
  };
}

function timeKey(row: string, track: Track, seq: number): string {
  return `${track}:${seq}:${row}`;
}
