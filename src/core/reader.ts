/**
 * The use cases that read: history, conversation list, unread counts, presence. Nothing here changes what anybody sees;
 * reading one's own history leaves the internal mark that the messages were received.
 */
import type { Chat } from './chat.ts';
import { ChatError, invalidField } from './errors.ts';
import type { Identity } from './identity.ts';
import { checkId } from './ids.ts';
import { type ChatLimits, DEFAULT_PAGE_SIZE, MAX_ONLINE_PAGE, MAX_USERS_PER_QUESTION } from './limits.ts';
import type { ConversationView, Message, MessageView, Presence, UserProfile } from './message.ts';
import type { Policy } from './policy.ts';
import type { MessageRange, MessageStore } from './ports.ts';
import type { PresenceTracker } from './presence.ts';
import type { Profiles } from './profiles.ts';

export interface ReaderDependencies {
  readonly store: MessageStore;
  readonly chat: Pick<Chat, 'noteReceived'>;
  readonly presence: Pick<PresenceTracker, 'find' | 'listOnline' | 'visibleTo'>;
  readonly profiles: Pick<Profiles, 'find'>;
  readonly policy: Policy;
  readonly limits: ChatLimits;
}

/** A conversation with what is known of the other person. */
export interface ConversationSummary extends ConversationView {
  readonly profile: UserProfile;
  readonly presence: Presence;
}

export interface ListMessagesRequest {
  readonly userId?: string;
  readonly otherUserId: string;
  /** 0 or absent = 50. */
  readonly pageSize?: number;
  /** Newest first before this seq; 0 or absent = from the end. */
  readonly beforeSeq?: number;
  /** Oldest first after this seq; present excludes `beforeSeq` and `skip`. */
  readonly afterSeq?: number;
  /** With the newest first: leave out this many of the newest. */
  readonly skip?: number;
}

export class Reader {
  readonly #deps: ReaderDependencies;

  constructor(dependencies: ReaderDependencies) {
    this.#deps = dependencies;
  }

  /** A page of a conversation, oldest first, tombstones included; empty for strangers. */
  async listMessages(
    identity: Identity,
    request: ListMessagesRequest,
  ): Promise<{ messages: MessageView[]; hasMore: boolean }> {
    const userId = this.#deps.policy.authorize(identity, 'readMessages', request.userId);
    const otherId = checkId(request.otherUserId, 'other_user_id');
    const limit = this.#pageSize(request.pageSize);
    checkCount(request.beforeSeq, 'before_seq');
    checkCount(request.afterSeq, 'after_seq');
    checkCount(request.skip, 'skip');
    const forward = request.afterSeq !== undefined;
    const range: MessageRange = forward
      ? { afterSeq: request.afterSeq ?? 0, limit: limit + 1 }
      : {
          limit: limit + 1,
          ...(request.beforeSeq && { beforeSeq: request.beforeSeq }),
          ...(request.skip && { skip: request.skip }),
        };
    const found = await this.#deps.store.listMessages(userId, otherId, range);
    const hasMore = found.length > limit;
    const messages = !hasMore ? found : forward ? found.slice(0, limit) : found.slice(1);
    if (userId === identity.userId) this.#noteRead(userId, otherId, messages);
    return { messages, hasMore };
  }

  /** The conversation of a user with another person. @throws ChatError `notFound` if they never wrote each other. */
  async findConversation(
    identity: Identity,
    request: { userId?: string; otherUserId: string },
  ): Promise<ConversationSummary> {
    const userId = this.#deps.policy.authorize(identity, 'readConversations', request.userId);
    const view = await this.#deps.store.findConversation(userId, checkId(request.otherUserId, 'other_user_id'));
    const [summary] = view === undefined ? [] : await this.#summaries(identity, userId, [view]);
    if (summary === undefined) throw new ChatError('notFound', 'CONVERSATION_NOT_FOUND', 'Conversation not found');
    return summary;
  }

  /** A page of a user's conversations, newest activity first. */
  async listConversations(
    identity: Identity,
    request: { userId?: string; pageSize?: number; pageToken?: string },
  ): Promise<{ conversations: ConversationSummary[]; nextPageToken?: string }> {
    const userId = this.#deps.policy.authorize(identity, 'readConversations', request.userId);
    const page = await this.#deps.store.listConversations(userId, {
      limit: this.#pageSize(request.pageSize),
      ...(request.pageToken && { after: request.pageToken }),
    });
    const conversations = await this.#summaries(identity, userId, page.conversations);
    return { conversations, ...(page.next !== undefined && { nextPageToken: page.next }) };
  }

  /** Unread messages of a user, in all and by conversation. */
  async unreadCounts(
    identity: Identity,
    request: { userId?: string },
  ): Promise<{ total: number; counts: { otherId: string; count: number }[] }> {
    const userId = this.#deps.policy.authorize(identity, 'readUnread', request.userId);
    const counts = await this.#deps.store.unreadCounts(userId);
    return { total: counts.reduce((sum, item) => sum + item.count, 0), counts };
  }

  /** Presence of at most 500 users, in the order asked, each once. Users whom the caller may not see are offline. */
  async presenceOf(identity: Identity, userIds: readonly string[]): Promise<Presence[]> {
    this.#deps.policy.authorize(identity, 'readPresence');
    const asked = [...new Set(userIds.map((userId) => checkId(userId, 'user_ids')))];
    if (asked.length === 0 || asked.length > MAX_USERS_PER_QUESTION) {
      throw invalidField('user_ids', `must name 1 to ${MAX_USERS_PER_QUESTION} users`);
    }
    const visible = await this.#deps.presence.visibleTo(identity, asked);
    const found = await this.#deps.presence.find(visible);
    return asked.map((userId) => found.get(userId) ?? { userId, online: false });
  }

  /** A page of the online users whom the caller may see, in order of id. */
  async listOnline(
    identity: Identity,
    request: { pageSize?: number; pageToken?: string },
  ): Promise<{ userIds: readonly string[]; nextPageToken?: string }> {
    this.#deps.policy.authorize(identity, 'readPresence');
    checkCount(request.pageSize, 'page_size');
    const limit = request.pageSize ? Math.min(request.pageSize, MAX_ONLINE_PAGE) : 200;
    const after = request.pageToken ? checkId(request.pageToken, 'page_token') : undefined;
    const found = await this.#deps.presence.listOnline({ limit: limit + 1, ...(after !== undefined && { after }) });
    const page = found.slice(0, limit);
    const last = page.at(-1);
    return {
      userIds: await this.#deps.presence.visibleTo(identity, page),
      ...(found.length > limit && last !== undefined && { nextPageToken: last }),
    };
  }

  /** History that its receiver reads is evidence of receipt. Losing this mark costs a repeat, never a message. */
  #noteRead(userId: string, otherId: string, messages: readonly Message[]): void {
    const first = messages[0];
    const newest = messages.findLast((message) => message.receiverId === userId);
    if (first === undefined || newest === undefined) return;
    this.#deps.chat.noteReceived(userId, otherId, newest.seq, first.seq).catch(() => undefined);
  }

  async #summaries(
    identity: Identity,
    userId: string,
    views: readonly ConversationView[],
  ): Promise<ConversationSummary[]> {
    const others = views.map((view) => view.otherId);
    const [profiles, visible] = await Promise.all([
      this.#deps.profiles.find(others),
      // Everybody on the list is a conversation partner of its owner, so the audience rule holds for the owner.
      userId === identity.userId ? others : this.#deps.presence.visibleTo(identity, others),
    ]);
    const presences = await this.#deps.presence.find(visible);
    return views.map((view) => ({
      ...view,
      profile: profiles.get(view.otherId) ?? { userId: view.otherId },
      presence: presences.get(view.otherId) ?? { userId: view.otherId, online: false },
    }));
  }

  #pageSize(asked: number | undefined): number {
    checkCount(asked, 'page_size');
    return Math.min(asked || DEFAULT_PAGE_SIZE, this.#deps.limits.pageSizeMax);
  }
}

function checkCount(value: number | undefined, field: string): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
    throw invalidField(field, 'must be a whole number from 0');
  }
}
