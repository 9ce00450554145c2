/** The SignalR door: the stock client, with and without negotiation; unread count by REST, as the page has it. */
import type { ConversationEntry, Door, DoorClient, Heard, HistoryEntry } from './door-client.ts';
import { Page, type PageWay } from './page.ts';

interface MessageDto {
  readonly id: string;
  readonly text: string;
  readonly status: HistoryEntry['status'];
  readonly isDeleted: boolean;
}

interface ConversationDto {
  readonly userId: string;
  readonly previewMessage: string;
  readonly unreadCount: number;
  readonly isOnline: boolean;
}

export function pageDoor(name: string, skipNegotiation: boolean, way?: PageWay): Door {
  return {
    name,
    async open(url, userId, token) {
      const options = { url, token, skipNegotiation, ...(way !== undefined && { way }) };
      return new PageClient(userId, await Page.open(options));
    },
  };
}

class PageClient implements DoorClient {
  readonly #userId: string;
  readonly #page: Page;

  constructor(userId: string, page: Page) {
    this.#userId = userId;
    this.#page = page;
  }

  get heard(): Heard[] {
    return this.#page.events.flatMap(({ name, args }): Heard[] => {
      const [first, second, third] = args.map(String);
      switch (name) {
        case 'ReceiveMessage':
          return [{ kind: 'message', from: first ?? '', text: second ?? '', id: third ?? '' }];
        case 'MessageStatusChanged':
          return [{ kind: 'status', id: first ?? '', status: second === 'read' ? 'read' : 'delivered' }];
        case 'MessageDeleted':
          return [{ kind: 'deleted', id: first ?? '' }];
        case 'UserStatusChanged':
          return [{ kind: 'presence', userId: first ?? '', online: second === 'Online' }];
        default:
          return [];
      }
    });
  }

  send(receiverId: string, text: string, clientMessageId: string): Promise<string> {
    return this.#page.send(this.#userId, receiverId, text, clientMessageId);
  }

  async markDelivered(messageId: string): Promise<void> {
    await this.#page.hub.invoke('MarkMessageAsDelivered', messageId, this.#userId);
  }

  async markRead(messageId: string): Promise<void> {
    await this.#page.hub.invoke('MarkMessageAsRead', messageId, this.#userId);
  }

  async deleteMessage(messageId: string): Promise<void> {
    await this.#page.hub.invoke('DeleteMessage', messageId, this.#userId);
  }

  async history(otherUserId: string): Promise<HistoryEntry[]> {
    const messages = await this.#page.hub.invoke<MessageDto[]>('GetMessageHistory', this.#userId, otherUserId);
    return messages.map(({ id, text, status, isDeleted }) => ({ id, text, status, deleted: isDeleted }));
  }

  async unread(): Promise<number> {
    const { body } = await this.#page.rest('GET', '/api/chat/unread-count');
    return (body as { count: number }).count;
  }

  async conversations(): Promise<ConversationEntry[]> {
    const found = await this.#page.hub.invoke<ConversationDto[]>('GetUserConversations', this.#userId);
    return found.map((conversation) => ({
      otherUserId: conversation.userId,
      preview: conversation.previewMessage,
      unread: conversation.unreadCount,
      online: conversation.isOnline,
    }));
  }

  isOnline(userId: string): Promise<boolean> {
    return this.#page.hub.invoke<boolean>('GetOnlineStatus', userId);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#page[Symbol.asyncDispose]();
  }
}
