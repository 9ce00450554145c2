/** The RPC door through a Connect client. A bidirectional one sends and acknowledges by frames of its stream. */

import type { Ok, Result } from '../../../gen/carepro/chat/v1/chat_service_pb.ts';
import { MessageStatus } from '../../../gen/carepro/chat/v1/types_pb.ts';
import type { ConversationEntry, Door, DoorClient, Heard, HistoryEntry } from './door-client.ts';
import { EventFeed } from './event-feed.ts';
import { BIDIRECTIONAL, type TransportName, type TypedClient, typedClient } from './rpc-clients.ts';

export function connectDoor(name: TransportName): Door {
  return {
    name,
    async open(url, userId, token) {
      const client = typedClient(url, token, name);
      const streams = BIDIRECTIONAL.has(name);
      const feed = await EventFeed.open(client.chat, streams ? 'streamEvents' : 'subscribe', {}, true);
      return new (streams ? StreamingClient : ConnectClient)(client, feed, userId);
    },
  };
}

class ConnectClient implements DoorClient {
  protected readonly client: TypedClient;
  protected readonly feed: EventFeed;
  readonly #userId: string;

  constructor(client: TypedClient, feed: EventFeed, userId: string) {
    this.client = client;
    this.feed = feed;
    this.#userId = userId;
  }

  get heard(): Heard[] {
    return this.feed.events.flatMap(({ event }): Heard[] => {
      switch (event.case) {
        case 'messageSent': {
          const { message } = event.value;
          // Typed streams also show what the user sent from any device.
          if (message === undefined || message.receiverId !== this.#userId) return [];
          return [{ kind: 'message', id: message.id, text: message.text, from: message.senderId }];
        }
        case 'statusAdvanced': {
          const { messageIds, senderId, status } = event.value;
          if (senderId !== this.#userId) return [];
          const word = status === MessageStatus.READ ? 'read' : 'delivered';
          return messageIds.map((id) => ({ kind: 'status', id, status: word }));
        }
        case 'messageDeleted':
          return [{ kind: 'deleted', id: event.value.messageId }];
        case 'presenceChanged':
          return event.value.changes.map(({ userId, online }) => ({ kind: 'presence', userId, online }));
        default:
          return [];
      }
    });
  }

  async send(receiverId: string, text: string, clientMessageId: string): Promise<string> {
    const { message } = await this.client.chat.sendMessage({ receiverId, text, clientMessageId });
    return message?.id ?? '';
  }

  async markDelivered(messageId: string): Promise<void> {
    await this.client.chat.markDelivered({ upTo: { case: 'messageId', value: messageId } });
  }

  async markRead(messageId: string): Promise<void> {
    await this.client.chat.markRead({ upTo: { case: 'messageId', value: messageId } });
  }

  async deleteMessage(messageId: string): Promise<void> {
    await this.client.chat.deleteMessage({ messageId });
  }

  async history(otherUserId: string): Promise<HistoryEntry[]> {
    const { messages } = await this.client.chat.listMessages({ otherUserId });
    return messages.map((message) => ({
      id: message.id,
      text: message.text,
      status: STATUSES[message.status] ?? 'sent',
      deleted: message.deletedAt !== undefined,
    }));
  }

  async unread(): Promise<number> {
    return (await this.client.chat.getUnreadCounts({})).total;
  }

  async conversations(): Promise<ConversationEntry[]> {
    const { conversations } = await this.client.chat.listConversations({});
    return conversations.map((conversation) => ({
      otherUserId: conversation.otherUserId,
      preview: conversation.lastMessage?.text ?? '',
      unread: conversation.unreadCount,
      online: conversation.otherPresence?.online ?? false,
    }));
  }

  async isOnline(userId: string): Promise<boolean> {
    return (await this.client.chat.getPresence({ userIds: [userId] })).presences[0]?.online ?? false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.feed[Symbol.asyncDispose]();
    this.client[Symbol.dispose]();
  }
}

class StreamingClient extends ConnectClient {
  override async send(receiverId: string, text: string, clientMessageId: string): Promise<string> {
    const frame = { case: 'send' as const, value: { receiverId, text, clientMessageId } };
    const response = okOf(await this.feed.request(frame));
    return response.case === 'send' ? (response.value.message?.id ?? '') : '';
  }

  override async markDelivered(messageId: string): Promise<void> {
    okOf(await this.feed.request({ case: 'delivered', value: { upTo: { case: 'messageId', value: messageId } } }));
  }

  override async markRead(messageId: string): Promise<void> {
    okOf(await this.feed.request({ case: 'read', value: { upTo: { case: 'messageId', value: messageId } } }));
  }
}

/** What a frame achieved. @throws Error if it failed. */
export function okOf({ outcome }: Result): Ok['response'] {
  if (outcome.case === 'ok') return outcome.value.response;
  throw new Error(outcome.case === 'error' ? outcome.value.message : 'A result without an outcome');
}

const STATUSES: Partial<Record<MessageStatus, HistoryEntry['status']>> = {
  [MessageStatus.DELIVERED]: 'delivered',
  [MessageStatus.READ]: 'read',
};
