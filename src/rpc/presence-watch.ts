/** Whose presence a stream reports, and how things stand with them at the moment they are chosen. */
import type { WatchPresence } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { invalidField } from '../core/errors.ts';
import type { PresenceChanged } from '../core/events.ts';
import type { Identity } from '../core/identity.ts';
import { checkId } from '../core/ids.ts';
import { MAX_USERS_PER_QUESTION } from '../core/limits.ts';
import type { Presence } from '../core/message.ts';
import type { Reader } from '../core/reader.ts';
import type { Watch } from '../core/registry.ts';

/** Most users that a stream can name. */
export const MAX_WATCHED_USERS = 1000;

/** @throws ChatError `invalidArgument` if too many users or no users are named. */
export function toWatch(request: WatchPresence | undefined): Watch {
  if (request === undefined) return 'nobody';
  if (request.everyone) return 'everyone';
  if (request.userIds.length === 0) return 'nobody';
  if (request.userIds.length > MAX_WATCHED_USERS) {
    throw invalidField('watch_presence.user_ids', `must not name more than ${MAX_WATCHED_USERS} users`);
  }
  return new Set(request.userIds.map((userId) => checkId(userId, 'watch_presence.user_ids')));
}

/**
 * The present presence of the users that `watch` names, as an event; undefined if it names none. Ask after the watch is
 * set, so that no change falls in between.
 */
export async function currentPresence(
  reader: Pick<Reader, 'presenceOf'>,
  identity: Identity,
  watch: Watch,
): Promise<PresenceChanged | undefined> {
  if (watch === 'nobody' || watch === 'everyone') return undefined;
  const userIds = [...watch];
  const changes: Presence[] = [];
  for (let from = 0; from < userIds.length; from += MAX_USERS_PER_QUESTION) {
    changes.push(...(await reader.presenceOf(identity, userIds.slice(from, from + MAX_USERS_PER_QUESTION))));
  }
  return { type: 'presenceChanged', changes };
}
