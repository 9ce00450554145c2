/**
 * The methods of the chat hub: names, arguments in their order, answers. Ids of the caller that stand in the arguments
 * must be there and say nothing: the identity that counts is the token's.
 */
import type { Chat } from '../core/chat.ts';
import { ChatError, invalidField } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import type { Reader } from '../core/reader.ts';
import { conversationDto, messageDto } from './dto.ts';
import { INVALID_PARAMETERS } from './error-texts.ts';
import { hubError } from './hub-errors.ts';
import { readConversations, readHistory, readOnlineUsers } from './page-reads.ts';
import type { PageSends } from './page-sends.ts';
import { HubException } from './signalr/hub/errors.ts';
import {
  type HubConnection,
  type HubMethod,
  type InvocationContext,
  type MethodOptions,
  method,
} from './signalr/hub/hub.ts';
import { type ArgumentsOf, type Parameter, param } from './signalr/protocol/parameters.ts';

export interface ChatHubMethodDependencies {
  readonly chat: Pick<Chat, 'mark' | 'deleteMessage'>;
  readonly reader: Reader;
  readonly sends: Pick<PageSends, 'sendFromHub'>;
  /** When a connection began, in the clock's monotonic milliseconds. */
  readonly connectedAtMs: (connection: HubConnection<Identity>) => number;
}

type Context = InvocationContext<Identity>;

const DEFAULT_TAKE = 50;
/**
 * Sends and acknowledgements enter the commit in the order of their calls, so the next may begin before the one before it is
 * on disk: then several of one page share a commit.
 */
const OVERLAPS: MethodOptions = { overlaps: true };

export function chatHubMethods(dependencies: ChatHubMethodDependencies): Record<string, HubMethod<Identity>> {
  const { chat, connectedAtMs, reader, sends } = dependencies;

  const isOnline = call([param.string], async ({ user }, userId) => {
    // The reference fails here without saying why (transcript 17); an empty id is just nobody's.
    if (userId === null) throw new TypeError('The user id must not be null');
    if (userId === '') return false;
    const [presence] = await reader.presenceOf(user, [userId]);
    return presence?.online === true;
  });

  async function mark({ user }: Context, status: 'delivered' | 'read', messageId: string | null): Promise<true> {
    await chat.mark(user, status, { upTo: { messageId: present(messageId) } });
    return true;
  }

  /** As `mark`, but a message that does not exist is passed over, as the incumbent does (transcript 13). */
  const markIfKnown = (status: 'delivered' | 'read'): HubMethod<Identity> =>
    method(
      [param.string],
      ({ user }: Context, messageId) =>
        chat.mark(user, status, { upTo: { messageId: present(messageId) } }).then(nothing, passOverUnknown),
      OVERLAPS,
    );

  return {
    SendMessage: method(
      [param.string, param.string, param.string, param.optional(param.string, null)],
      async (context: Context, senderId, receiverId, text, clientMessageId) => {
        try {
          present(senderId);
          const request = {
            receiverId: present(receiverId),
            text: present(text),
            clientMessageId: clientMessageId ?? undefined,
          };
          const connectedAt = connectedAtMs(context.connection);
          const answer = await sends.sendFromHub(context.user, request, context, connectedAt);
          return answer.message.id;
        } catch (error) {
          throw hubError(error, true);
        }
      },
      OVERLAPS,
    ),

    GetMessageHistory: call(
      [param.string, param.string, param.optional(param.int, 0), param.optional(param.int, DEFAULT_TAKE)],
      async ({ user }, user1, user2, skip, take) => {
        if (skip < 0) throw invalidField('skip', 'must be a whole number from 0');
        if (take < 1) throw invalidField('take', 'must be a whole number from 1');
        const messages = await readHistory(reader, user, { user1: present(user1), user2: present(user2), skip, take });
        return messages.map(messageDto);
      },
    ),

    GetOnlineStatus: isOnline,
    IsUserOnline: isOnline,
    GetOnlineUsers: call([], ({ user }) => readOnlineUsers(reader, user)),

    MessageReceived: markIfKnown('delivered'),
    MessageRead: markIfKnown('read'),
    MarkMessageAsDelivered: call(
      [param.string, param.string],
      (context, id) => mark(context, 'delivered', id),
      OVERLAPS,
    ),
    MarkMessageAsRead: call([param.string, param.string], (context, id) => mark(context, 'read', id), OVERLAPS),
    MarkAllMessagesAsRead: call([param.string, param.string], async ({ user }, senderId, _receiverId) => {
      await chat.mark(user, 'read', { upTo: { otherUserId: present(senderId) } });
      return true;
    }),

    DeleteMessage: call([param.string, param.string], async ({ user }, messageId, _userId) => {
      await chat.deleteMessage(user, { messageId: present(messageId) });
      return true;
    }),

    GetUserConversations: call([param.string], async ({ user }, userId) => {
      const conversations = await readConversations(reader, user, present(userId));
      return conversations.map(conversationDto);
    }),

    RegisterConnection: method([param.string], () => null),
    Ping: method([], () => 'pong'),
  };
}

/** Declares a method whose errors are told in the hub's words. */
function call<const Parameters extends readonly Parameter[]>(
  parameters: Parameters,
  handler: (context: Context, ...args: ArgumentsOf<Parameters>) => Promise<unknown>,
  options?: MethodOptions,
): HubMethod<Identity> {
  const answer = (context: Context, ...args: ArgumentsOf<Parameters>): Promise<unknown> =>
    handler(context, ...args).catch((error: unknown) => {
      throw hubError(error, false);
    });
  return method<Identity, Parameters>(parameters, answer, options);
}

function nothing(): null {
  return null;
}

function passOverUnknown(error: unknown): null {
  if (error instanceof ChatError && error.reason === 'MESSAGE_NOT_FOUND') return null;
  throw hubError(error, false);
}

/** An argument that must be there. */
function present(value: string | null): string {
  if (value === null || value === '') throw new HubException(INVALID_PARAMETERS);
  return value;
}
