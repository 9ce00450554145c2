/** Keys made of two ids: unambiguous, and the same on every instance. */
import { pairOf } from '../../core/ids.ts';

/** Index of a person in a conversation: 0 = low, the one whose id sorts first. */
export type Side = 0 | 1;

/** One string for an ordered pair of ids. The length in front keeps `a, bc` and `ab, c` apart. */
export function pairKey(first: string, second: string): string {
  return `${first.length}:${first}${second}`;
}

/** The key of the conversation of two people, whoever of them asks. */
export function conversationKey(a: string, b: string): string {
  return pairKey(...pairOf(a, b));
}

/** The two people of a conversation, low first. */
export function peopleOf(conversation: string): readonly [low: string, high: string] {
  const colon = conversation.indexOf(':');
  const end = colon + 1 + Number(conversation.slice(0, colon));
  return [conversation.slice(colon + 1, end), conversation.slice(end)];
}

/** The key of the row that one of the two has of a conversation. */
export function rowKey(conversation: string, side: Side): string {
  const [low, high] = peopleOf(conversation);
  return side === 0 ? pairKey(low, high) : pairKey(high, low);
}

/** Which of the two `own` is in the conversation with `other`. */
export function sideOf(own: string, other: string): Side {
  return own < other ? 0 : 1;
}

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}
