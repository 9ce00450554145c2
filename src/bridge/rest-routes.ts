/**
 * The routes of the REST door: method, path, and what each asks of the core and answers. Ids of the caller that stand in
 * paths, bodies or queries of changes say nothing: the identity that counts is the token's.
 */
import type { Chat } from '../core/chat.ts';
import { ChatError } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import type { UserProfile } from '../core/message.ts';
import type { Profiles } from '../core/profiles.ts';
import type { Reader } from '../core/reader.ts';
import { chatPreviewDto, conversationDto, messageDto, userDto } from './dto.ts';
import { readConversations, readHistory } from './page-reads.ts';
import type { PageSends } from './page-sends.ts';
import type { RestFields } from './rest-fields.ts';

export interface RestRouteDependencies {
  readonly chat: Pick<Chat, 'mark' | 'deleteMessage'>;
  readonly reader: Reader;
  readonly profiles: Pick<Profiles, 'read'>;
  /** Shared with the chat hub. */
  readonly sends: Pick<PageSends, 'sendFromRest'>;
}

/** A call that has been authenticated. */
export interface RestCall {
  readonly identity: Identity;
  /** What stands at the end of the path; empty for routes without it. */
  readonly id: string;
  readonly fields: RestFields;
}

export interface RestRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** In lower case; with a slash at its end, an id follows. */
  readonly path: string;
  readonly hasBody: boolean;
  /** Whether failures are told as those of sending a message. */
  readonly isSend: boolean;
  /** What it answers is the body of the 200. */
  readonly handle: (call: RestCall) => Promise<unknown>;
}

const DEFAULT_TAKE = 50;

export function restRoutes({ chat, profiles, reader, sends }: RestRouteDependencies): readonly RestRoute[] {
  function marking(status: 'delivered' | 'read') {
    return async ({ id, identity }: RestCall): Promise<unknown> => {
      await chat.mark(identity, status, { upTo: { messageId: id } });
      return { success: true, messageId: id };
    };
  }

  return [
    {
      ...post('/api/chat/send'),
      isSend: true,
      handle: async ({ fields, identity }) => {
        const { message, warning } = await sends.sendFromRest(identity, {
          receiverId: fields.required('receiverId'),
          text: fields.required('message'),
          timestamp: fields.timestamp('timestamp'),
          clientMessageId: fields.text('clientMessageId'),
        });
        return {
          messageId: message.id,
          wasRedacted: warning !== undefined,
          redactionWarning: warning ?? null,
          deliveredMessage: message.text,
        };
      },
    },
    {
      ...get('/api/chat/history'),
      handle: async ({ fields, identity }) => {
        const messages = await readHistory(reader, identity, {
          user1: fields.required('user1'),
          user2: fields.required('user2'),
          skip: fields.count('skip', 0, 0),
          take: fields.count('take', DEFAULT_TAKE, 1),
        });
        return messages.map(messageDto);
      },
    },
    {
      ...get('/api/chat/conversations/'),
      handle: async ({ id, identity }) => (await readConversations(reader, identity, id)).map(conversationDto),
    },
    {
      ...get('/api/chat/chatpreview'),
      handle: async ({ fields, identity }) =>
        (await readConversations(reader, identity, fields.text('userId'))).map(chatPreviewDto),
    },
    { ...post('/api/chat/mark-read/', false), handle: marking('read') },
    { ...post('/api/chat/mark-delivered/', false), handle: marking('delivered') },
    {
      ...post('/api/chat/mark-all-read'),
      handle: async ({ fields, identity }) => {
        await chat.mark(identity, 'read', { upTo: { otherUserId: fields.required('senderId') } });
        return { success: true };
      },
    },
    {
      method: 'DELETE',
      path: '/api/chat/delete/',
      hasBody: false,
      isSend: false,
      handle: async ({ id, identity }) => {
        await chat.deleteMessage(identity, { messageId: id });
        return { success: true, messageId: id };
      },
    },
    {
      ...get('/api/chat/unread-count'),
      handle: async ({ fields, identity }) => {
        const userId = fields.text('userId');
        const { total } = await reader.unreadCounts(identity, { ...(userId !== undefined && { userId }) });
        return { count: total };
      },
    },
    {
      ...get('/api/users/'),
      handle: async ({ id, identity }) => {
        const profile = (await profiles.read(identity, [id])).get(id);
        if (profile !== undefined) return userDto(profile);
        if (id !== identity.userId) throw new ChatError('notFound', 'USER_NOT_FOUND', 'User not found');
        return userDto(claimedProfile(identity, id));
      },
    },
  ];
}

/** What a token says of its user: the directory learns it a moment after the first call. */
function claimedProfile({ email, name, picture, roleClaim }: Identity, userId: string): UserProfile {
  return {
    userId,
    ...(name !== undefined && { name }),
    ...(email !== undefined && { email }),
    ...(picture !== undefined && { avatarUrl: picture }),
    ...(roleClaim !== undefined && { role: roleClaim }),
  };
}

function get(path: string): Omit<RestRoute, 'handle'> {
  return { method: 'GET', path, hasBody: false, isSend: false };
}

function post(path: string, hasBody = true): Omit<RestRoute, 'handle'> {
  return { method: 'POST', path, hasBody, isSend: false };
}
