/**
 * The chat hub: what the existing page speaks over SignalR. It decodes, asks the core, and answers in the page's words;
 * it has no rule of its own.
 *
 * A connection's session is opened after the handshake, so that nothing precedes the handshake's answer, and ends with the
 * connection.
 */
import type { Chat } from '../core/chat.ts';
import type { Identity } from '../core/identity.ts';
import type { Policy } from '../core/policy.ts';
import type { PresenceTracker } from '../core/presence.ts';
import type { Profiles } from '../core/profiles.ts';
import type { Reader } from '../core/reader.ts';
import type { OpenSession, Registry } from '../core/registry.ts';
import type { Clock } from '../time/clock.ts';
import { chatHubMethods } from './chat-hub-methods.ts';
import { AUTHENTICATION_REQUIRED } from './error-texts.ts';
import { EventEncoder } from './event-map.ts';
import { ExpirySweep } from './expiry-sweep.ts';
import { HubSession } from './hub-session.ts';
import type { PageSends } from './page-sends.ts';
import { HubException } from './signalr/hub/errors.ts';
import { type Hub, type HubConnection, type HubMethod, hub } from './signalr/hub/hub.ts';
import type { HubOptions } from './signalr/hub/options.ts';
import { UserConnections } from './user-connections.ts';

export interface ChatHubDependencies {
  readonly chat: Pick<Chat, 'mark' | 'deleteMessage' | 'noteReceived'>;
  readonly reader: Reader;
  readonly profiles: Pick<Profiles, 'observe'>;
  readonly registry: Pick<Registry, 'open'>;
  readonly presence: Pick<PresenceTracker, 'connected' | 'disconnected'>;
  readonly policy: Pick<Policy, 'seesEverybody'>;
  /** Shared with the REST door. */
  readonly sends: Pick<PageSends, 'sendFromHub'>;
  readonly clock: Clock;
  /** Told of failures that no caller waits for. Failed calls are reported by the SignalR server. */
  readonly onError: (error: unknown) => void;
  /**
   * How long a connection may outlive its token, in milliseconds; its client has no way to renew it. 0 = it ends with the
   * token. Default 24 hours.
   */
  readonly hubExpiryGraceMs?: number;
  /** When an instance on the same store was last known to live; see `UserConnectionsOptions`. */
  readonly previousSignOfLifeMs?: number | undefined;
  /** Methods beside the chat's own. */
  readonly moreMethods?: Readonly<Record<string, HubMethod<Identity>>>;
  /** Limits and times of the connections. */
  readonly options?: Partial<HubOptions>;
}

const DEFAULT_EXPIRY_GRACE_MS = 86_400_000;

interface Member {
  readonly session: HubSession;
  readonly open: OpenSession;
}

/** The chat hub, ready to be mounted. The user of a connection is the identity of its token. */
export function createChatHub(dependencies: ChatHubDependencies): Hub<Identity> {
  const { clock, policy, presence, profiles, registry } = dependencies;
  const graceMs = dependencies.hubExpiryGraceMs ?? DEFAULT_EXPIRY_GRACE_MS;
  const { previousSignOfLifeMs } = dependencies;
  const members = new Map<HubConnection<Identity>, Member>();
  const siblings = new UserConnections({ clock, previousSignOfLifeMs });
  const expiries = new ExpirySweep<HubConnection<Identity>>(clock, (connection) => {
    // As the reference ends a connection whose token expired (transcript 44).
    connection.close({ allowReconnect: true });
  });
  const { chat, onError } = dependencies;
  const sessionDependencies = { chat, encoder: new EventEncoder(), clock, onError };

  function onConnected(connection: HubConnection<Identity>): void {
    const identity = connection.user;
    const { userId } = identity;
    if (userId === undefined) throw new HubException(AUTHENTICATION_REQUIRED);
    profiles.observe(identity);
    const gap = siblings.gapBefore(userId);
    const session = new HubSession(sessionDependencies, connection, userId, gap);
    const seesEverybody = policy.seesEverybody(identity);
    const open = registry.open(
      { userId, replayAbove: 'received', replaySinceMs: gap?.sinceMs, watch: 'everyone', seesEverybody },
      session,
    );
    siblings.add(session);
    members.set(connection, { session, open });
    presence.connected(userId, connection.id);
    expiries.add(connection, identity.expiresAtMs + graceMs);
  }

  function onDisconnected(connection: HubConnection<Identity>): void {
    const member = members.get(connection);
    if (member === undefined) return;
    members.delete(connection);
    expiries.delete(connection);
    member.open.close();
    siblings.remove(member.session, connection.hasSaidGoodbye);
    presence.disconnected(member.session.userId, connection.id);
  }

  return hub<Identity>({
    methods: {
      ...dependencies.moreMethods,
      ...chatHubMethods({
        chat,
        reader: dependencies.reader,
        sends: dependencies.sends,
        connectedAtMs: (connection) => members.get(connection)?.session.connectedAtMs ?? clock.monotonicMs(),
      }),
    },
    onConnected,
    onDisconnected,
    onRenewed(connection) {
      if (members.has(connection)) expiries.add(connection, connection.user.expiresAtMs + graceMs);
    },
    onReceived: (connection, mark) => members.get(connection)?.session.received(mark),
    ...(dependencies.options !== undefined && { options: dependencies.options }),
  });
}
