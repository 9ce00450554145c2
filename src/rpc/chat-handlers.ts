/** The unary calls of ChatService: identity and request in, one use case, answer out. No rule of its own. */
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type {
  ChatService,
  DeleteMessageRequest,
  DeleteMessageResponse,
  GetConversationRequest,
  GetConversationResponse,
  GetPresenceRequest,
  GetPresenceResponse,
  GetUnreadCountsRequest,
  GetUnreadCountsResponse,
  ListConversationsRequest,
  ListConversationsResponse,
  ListMessagesRequest,
  ListMessagesResponse,
  ListOnlineUsersRequest,
  ListOnlineUsersResponse,
  MarkDeliveredRequest,
  MarkDeliveredResponse,
  MarkReadRequest,
  MarkReadResponse,
  SendMessageRequest,
  SendMessageResponse,
} from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import type { Chat } from '../core/chat.ts';
import type { Reader } from '../core/reader.ts';
import { identityOf } from './call.ts';
import { fromUpTo, toConversation, toMessage, toMessageView, toPresence, toSendResponse } from './convert.ts';

export type UnaryChatHandlers = Omit<ServiceImpl<typeof ChatService>, 'streamEvents' | 'subscribe'>;

export function createChatHandlers(chat: Chat, reader: Reader): UnaryChatHandlers {
  return {
    async sendMessage(request: SendMessageRequest, context: HandlerContext): Promise<SendMessageResponse> {
      return toSendResponse(await chat.send(identityOf(context.values), request));
    },

    async listMessages(request: ListMessagesRequest, context: HandlerContext): Promise<ListMessagesResponse> {
      const { start } = request;
      const page = await reader.listMessages(identityOf(context.values), {
        userId: request.userId,
        otherUserId: request.otherUserId,
        pageSize: request.pageSize,
        ...(start.case === 'beforeSeq' && { beforeSeq: start.value }),
        ...(start.case === 'afterSeq' && { afterSeq: start.value }),
      });
      return {
        $typeName: 'carepro.chat.v1.ListMessagesResponse',
        messages: page.messages.map(toMessageView),
        hasMore: page.hasMore,
      };
    },

    async listConversations(
      request: ListConversationsRequest,
      context: HandlerContext,
    ): Promise<ListConversationsResponse> {
      const page = await reader.listConversations(identityOf(context.values), request);
      return {
        $typeName: 'carepro.chat.v1.ListConversationsResponse',
        conversations: page.conversations.map(toConversation),
        nextPageToken: page.nextPageToken ?? '',
      };
    },

    async getConversation(request: GetConversationRequest, context: HandlerContext): Promise<GetConversationResponse> {
      const conversation = await reader.findConversation(identityOf(context.values), request);
      return {
        $typeName: 'carepro.chat.v1.GetConversationResponse',
        conversation: toConversation(conversation),
      };
    },

    async markDelivered(request: MarkDeliveredRequest, context: HandlerContext): Promise<MarkDeliveredResponse> {
      const mark = await chat.mark(identityOf(context.values), 'delivered', {
        userId: request.userId,
        upTo: fromUpTo(request.upTo),
      });
      return { $typeName: 'carepro.chat.v1.MarkDeliveredResponse', ...mark };
    },

    async markRead(request: MarkReadRequest, context: HandlerContext): Promise<MarkReadResponse> {
      const mark = await chat.mark(identityOf(context.values), 'read', {
        userId: request.userId,
        upTo: fromUpTo(request.upTo),
      });
      return { $typeName: 'carepro.chat.v1.MarkReadResponse', ...mark };
    },

    async deleteMessage(request: DeleteMessageRequest, context: HandlerContext): Promise<DeleteMessageResponse> {
      const message = await chat.deleteMessage(identityOf(context.values), request);
      return { $typeName: 'carepro.chat.v1.DeleteMessageResponse', message: toMessage(message) };
    },

    async getPresence(request: GetPresenceRequest, context: HandlerContext): Promise<GetPresenceResponse> {
      const presences = await reader.presenceOf(identityOf(context.values), request.userIds);
      return { $typeName: 'carepro.chat.v1.GetPresenceResponse', presences: presences.map(toPresence) };
    },

    async listOnlineUsers(request: ListOnlineUsersRequest, context: HandlerContext): Promise<ListOnlineUsersResponse> {
      const page = await reader.listOnline(identityOf(context.values), request);
      return {
        $typeName: 'carepro.chat.v1.ListOnlineUsersResponse',
        userIds: [...page.userIds],
        nextPageToken: page.nextPageToken ?? '',
      };
    },

    async getUnreadCounts(request: GetUnreadCountsRequest, context: HandlerContext): Promise<GetUnreadCountsResponse> {
      const unread = await reader.unreadCounts(identityOf(context.values), request);
      return {
        $typeName: 'carepro.chat.v1.GetUnreadCountsResponse',
        total: unread.total,
        counts: unread.counts.map(({ otherId, count }) => ({
          $typeName: 'carepro.chat.v1.GetUnreadCountsResponse.Count',
          otherUserId: otherId,
          unreadCount: count,
        })),
      };
    },
  };
}
