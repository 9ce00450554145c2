/** The RPC door through grpc-js, from the proto files alone: what a service in another language would see. */
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { ServiceDefinition } from '@grpc/proto-loader';
import type { ConversationEntry, Door, DoorClient, Heard, HistoryEntry } from './door-client.ts';
import { loadService } from './rpc-clients.ts';

const SERVICE = loadService('carepro/chat/v1/chat_service.proto', 'carepro.chat.v1.ChatService');

interface WireMessage {
  readonly id: string;
  readonly text: string;
  readonly senderId: string;
  readonly receiverId: string;
  readonly status: string;
  readonly deletedAt: unknown;
}

interface WireEvent {
  readonly messageSent?: { readonly message: WireMessage } | null;
  readonly statusAdvanced?: {
    readonly status: string;
    readonly senderId: string;
    readonly messageIds: string[];
  } | null;
  readonly messageDeleted?: { readonly messageId: string } | null;
  readonly presenceChanged?: { readonly changes: { readonly userId: string; readonly online: boolean }[] } | null;
}

interface WireFrame {
  readonly frame: string;
  readonly event?: WireEvent;
}

/** Calls of any service, by the definition of its proto. */
export class GrpcClient implements Disposable {
  readonly #client: Client;
  readonly #service: ServiceDefinition;
  readonly #metadata = new Metadata();

  constructor(address: string, channel: ChannelCredentials, token: string | undefined, service = SERVICE) {
    // The certificate of the tests is looked for by name, which an address is not.
    this.#client = new Client(address, channel, { 'grpc.ssl_target_name_override': 'localhost' });
    this.#service = service;
    if (token !== undefined) this.#metadata.set('authorization', `Bearer ${token}`);
  }

  call<T>(method: string, request: object): Promise<T> {
    const { path, requestDeserialize: _, requestSerialize, responseDeserialize } = this.#method(method);
    return new Promise((resolve, reject) => {
      const callback = (error: ServiceError | null, response?: object): void => {
        if (error === null) resolve(response as T);
        else reject(error);
      };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, this.#metadata, callback);
    });
  }

  stream(method: string): ClientDuplexStream<object, object> {
    const { path, requestSerialize, responseDeserialize } = this.#method(method);
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadata);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #method(name: string): ServiceDefinition[string] {
    const method = this.#service[name];
    if (method === undefined) throw new Error(`There is no ${name}`);
    return method;
  }
}

/** Host and port of a URL, and whether it is encrypted. @param authority certificate to trust. */
export function grpcAddress(url: string, authority?: Buffer): [string, ChannelCredentials] {
  const { host, protocol } = new URL(url);
  return [host, protocol === 'https:' ? credentials.createSsl(authority ?? null) : credentials.createInsecure()];
}

/** @param authority certificate to trust, for TLS. */
export function grpcJsDoor(name: string, authority?: Buffer): Door {
  return {
    name,
    async open(url, userId, token) {
      const client = new GrpcJsDoorClient(userId, new GrpcClient(...grpcAddress(url, authority), token));
      await client.ready;
      return client;
    },
  };
}

class GrpcJsDoorClient implements DoorClient {
  readonly heard: Heard[] = [];
  readonly ready: Promise<void>;
  readonly #userId: string;
  readonly #client: GrpcClient;
  readonly #stream: ClientDuplexStream<object, object>;
  readonly #ended: Promise<void>;

  constructor(userId: string, client: GrpcClient) {
    this.#userId = userId;
    this.#client = client;
    this.#stream = client.stream('StreamEvents');
    this.#ended = new Promise((resolve) => this.#stream.once('status', () => resolve()));
    this.ready = new Promise((resolve, reject) => {
      this.#stream.on('error', reject);
      this.#stream.on('data', (frame: WireFrame) => {
        if (frame.frame === 'ready') resolve();
        if (frame.event) this.#hear(frame.event);
      });
    });
    this.#stream.write({ open: {} });
    this.#stream.write({ watchPresence: { everyone: true } });
  }

  async send(receiverId: string, text: string, clientMessageId: string): Promise<string> {
    const request = { receiverId, text, clientMessageId };
    return (await this.#client.call<{ message: WireMessage }>('SendMessage', request)).message.id;
  }

  async markDelivered(messageId: string): Promise<void> {
    await this.#client.call('MarkDelivered', { messageId });
  }

  async markRead(messageId: string): Promise<void> {
    await this.#client.call('MarkRead', { messageId });
  }

  async deleteMessage(messageId: string): Promise<void> {
    await this.#client.call('DeleteMessage', { messageId });
  }

  async history(otherUserId: string): Promise<HistoryEntry[]> {
    const { messages } = await this.#client.call<{ messages: WireMessage[] }>('ListMessages', { otherUserId });
    return messages.map(({ deletedAt, id, status, text }) => ({
      id,
      text,
      status: statusWord(status),
      deleted: deletedAt !== null,
    }));
  }

  async unread(): Promise<number> {
    return (await this.#client.call<{ total: number }>('GetUnreadCounts', {})).total;
  }

  async conversations(): Promise<ConversationEntry[]> {
    const { conversations } = await this.#client.call<{
      conversations: {
        otherUserId: string;
        lastMessage: WireMessage;
        unreadCount: number;
        otherPresence: { online: boolean };
      }[];
    }>('ListConversations', {});
    return conversations.map(({ lastMessage, otherPresence, otherUserId, unreadCount }) => ({
      otherUserId,
      preview: lastMessage.text,
      unread: unreadCount,
      online: otherPresence.online,
    }));
  }

  async isOnline(userId: string): Promise<boolean> {
    const request = { userIds: [userId] };
    const { presences } = await this.#client.call<{ presences: { online: boolean }[] }>('GetPresence', request);
    return presences[0]?.online ?? false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.cancel();
    await this.#ended;
    this.#client[Symbol.dispose]();
  }

  #hear({ messageDeleted, messageSent, presenceChanged, statusAdvanced }: WireEvent): void {
    if (messageSent && messageSent.message.receiverId === this.#userId) {
      const { id, senderId: from, text } = messageSent.message;
      this.heard.push({ kind: 'message', id, text, from });
    }
    if (statusAdvanced && statusAdvanced.senderId === this.#userId) {
      const status = statusWord(statusAdvanced.status) === 'read' ? 'read' : 'delivered';
      for (const id of statusAdvanced.messageIds) this.heard.push({ kind: 'status', id, status });
    }
    if (messageDeleted) this.heard.push({ kind: 'deleted', id: messageDeleted.messageId });
    for (const { online, userId } of presenceChanged?.changes ?? []) {
      this.heard.push({ kind: 'presence', userId, online });
    }
  }
}

function statusWord(status: string): HistoryEntry['status'] {
  if (status === 'MESSAGE_STATUS_READ') return 'read';
  return status === 'MESSAGE_STATUS_DELIVERED' ? 'delivered' : 'sent';
}
