/**
 * What the page reads through either web door. The page knows no page tokens: it asks for lists whole, or with skip and
 * take. So lists are put together here from the core's pages, up to a bound.
 */

import type { Identity } from '../core/identity.ts';
import type { MessageView } from '../core/message.ts';
import { callerId } from '../core/policy.ts';
import type { ConversationSummary, Reader } from '../core/reader.ts';

/** Most messages in one answer; who asks for more gets the newest of them. */
export const MAX_HISTORY_TAKE = 1000;
/** The conversation list holds the newest this many. The page shows ten. */
export const MAX_CONVERSATIONS = 200;
/** Most online users in one answer, in order of id. */
export const MAX_ONLINE_USERS = 10_000;

export interface HistoryQuery {
  readonly user1: string;
  readonly user2: string;
  /** How many of the newest messages to leave out, from 0. */
  readonly skip: number;
  /** How many messages to answer, from 1; more than `MAX_HISTORY_TAKE` counts as that. */
  readonly take: number;
}

/**
 * The newest messages between two people, oldest first, tombstones included. The caller is one of them, or may read
 * others' messages.
 * @throws ChatError `permissionDenied`, `invalidArgument`.
 */
export async function readHistory(reader: Reader, identity: Identity, query: HistoryQuery): Promise<MessageView[]> {
  const caller = callerId(identity);
  const [userId, otherUserId] = query.user2 === caller ? [query.user2, query.user1] : [query.user1, query.user2];
  const take = Math.min(query.take, MAX_HISTORY_TAKE);
  let page = await reader.listMessages(identity, { userId, otherUserId, pageSize: take, skip: query.skip });
  let messages = page.messages;
  while (page.hasMore && messages.length < take) {
    const oldest = messages[0];
    if (oldest === undefined) break;
    const pageSize = take - messages.length;
    page = await reader.listMessages(identity, { userId, otherUserId, pageSize, beforeSeq: oldest.seq });
    messages = [...page.messages, ...messages];
  }
  return messages;
}

/** The newest conversations of a user (absent or empty = the caller), newest activity first. */
export async function readConversations(
  reader: Reader,
  identity: Identity,
  userId: string | undefined,
): Promise<ConversationSummary[]> {
  const found: ConversationSummary[] = [];
  let pageToken: string | undefined;
  do {
    const page = await reader.listConversations(identity, {
      pageSize: MAX_CONVERSATIONS - found.length,
      ...(userId !== undefined && { userId }),
      ...(pageToken !== undefined && { pageToken }),
    });
    found.push(...page.conversations);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined && found.length < MAX_CONVERSATIONS);
  return found;
}

/** Ids of the online users whom the caller may see. */
export async function readOnlineUsers(reader: Reader, identity: Identity): Promise<string[]> {
  const found: string[] = [];
  let pageToken: string | undefined;
  do {
    const page = await reader.listOnline(identity, { pageSize: 1000, ...(pageToken !== undefined && { pageToken }) });
    found.push(...page.userIds);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined && found.length < MAX_ONLINE_USERS);
  return found.slice(0, MAX_ONLINE_USERS);
}
