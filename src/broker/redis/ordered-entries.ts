/**
 * What must have an order in a user's stream, whichever instances publish it, and how the append script is told of it.
 *
 * Messages of a conversation come in the order of their seq, each once, none left out. A cursor of a person only moves up,
 * each move beginning where the one before ended, so a message is never told delivered after it was told read. A message is
 * not told after its deletion. The script keeps, per stream, the newest seq of each of these under a field of its own.
 */
import type { AppendEntry } from '../../core/ports.ts';

/** The script's arguments for an entry: its kind, and unless that is empty field, floor field, from, to, looked up. */
export function orderOf({ afterSeq, event, userId }: AppendEntry): readonly string[] {
  const isLookedUp = afterSeq === undefined ? '' : '1';
  if (event.type === 'messageSent') {
    const { receiverId, senderId, seq } = event.message;
    const field = messagesWith(userId, senderId, receiverId);
    return ['message', field, '', String(afterSeq ?? seq - 1), String(seq), isLookedUp];
  }
  if (event.type === 'messageDeleted') {
    const field = messagesWith(userId, event.senderId, event.receiverId);
    return ['deletion', field, '', String(afterSeq ?? event.seq - 1), String(event.seq), isLookedUp];
  }
  if (event.type === 'statusAdvanced' && event.fromSeq !== undefined) {
    const { fromSeq, readerId, senderId, status, upToSeq } = event;
    const who = readerId === userId ? `>${senderId}` : `<${readerId}`;
    const [field, floor] = status === 'read' ? [`r${who}`, ''] : [`d${who}`, `r${who}`];
    return ['status', field, floor, String(afterSeq ?? fromSeq), String(upToSeq), isLookedUp];
  }
  return [''];
}

function messagesWith(userId: string, senderId: string, receiverId: string): string {
  return `m${senderId === userId ? receiverId : senderId}`;
}
