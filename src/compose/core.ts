/** Puts the core together over its ports. */
import { PageSends } from '../bridge/page-sends.ts';
import type { Config } from '../config.ts';
import { Chat } from '../core/chat.ts';
import { ConnectionLimits } from '../core/connection-limits.ts';
import type { StreamEvent } from '../core/events.ts';
import { GroupCommit } from '../core/group-commit.ts';
import type { Metrics } from '../core/metrics.ts';
import { MissingMessages } from '../core/missing-messages.ts';
import { Policy } from '../core/policy.ts';
import type { Broker, MessagePolicy, MessageStore, PresenceStore, UserDirectory } from '../core/ports.ts';
import { PresenceTracker } from '../core/presence.ts';
import { Profiles } from '../core/profiles.ts';
import { Publisher } from '../core/publisher.ts';
import { Reader } from '../core/reader.ts';
import { Registry } from '../core/registry.ts';
import type { Logger } from '../ops/logger.ts';
import type { Clock } from '../time/clock.ts';

export interface CoreDependencies {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly messagePolicy: MessagePolicy;
  readonly store: { readonly messages: MessageStore; readonly presence: PresenceStore; readonly users: UserDirectory };
  readonly broker: Broker;
  /** The id under which this instance takes its lease. */
  readonly instanceId: string;
}

/** The core as the doors use it. */
export interface Core {
  readonly chat: Chat;
  readonly reader: Reader;
  readonly profiles: Profiles;
  readonly registry: Registry;
  readonly presence: PresenceTracker;
  readonly policy: Policy;
  readonly publisher: Publisher;
  /** What the hub and the REST door share of the page's sends. */
  readonly sends: PageSends;
  readonly connectionLimits: ConnectionLimits;
  /** See `UserConnectionsOptions`. */
  readonly previousSignOfLifeMs: number | undefined;
}

const PRESENCE_COALESCE_MS = 50;
/** What a dead instance did not publish is published by others at most this long after its lease, in milliseconds. */
const RECOVERY_MS = 60_000;

/** Builds the core and takes this instance's lease. */
export async function composeCore(dependencies: CoreDependencies): Promise<Core> {
  const { broker, clock, config, instanceId, log, messagePolicy, metrics, store } = dependencies;
  const onError = (error: unknown): void => log.error('background.failed', {}, error);
  const startedAtMs = clock.now();
  const policy = new Policy({ record: (entry) => log.info('audit', { ...entry }) });
  const limits = {
    textMaxCharacters: config.chat.messageMaxCharacters,
    pageSizeMax: config.chat.pageSizeMax,
    sendsPerSecond: config.chat.sendRatePerSecond,
    sendBurst: config.chat.sendBurst,
  };
  const connectionLimits = new ConnectionLimits({
    perUser: config.http.maxConnectionsPerUser,
    perAddress: config.http.maxConnectionsPerAddress,
  });
  const onEvent = (event: StreamEvent): void => chat.noteEvent(event);
  const registry = new Registry({ store: store.messages, broker, clock, metrics, onError, onEvent });
  const onPublishFailed = (userIds: readonly string[], error: unknown): void => {
    log.error('publish.failed', { users: userIds.length }, error);
    registry.doubt(userIds);
  };
  const missing = new MissingMessages(store.messages, { recentMs: config.server.instanceLeaseMs + RECOVERY_MS });
  const publisher = new Publisher(broker, metrics, { onPublishFailed }, clock, { missing });
  const commits = new GroupCommit(store.messages, { metrics });
  const chat = new Chat({ store: store.messages, commits, publisher, policy, messagePolicy, clock, limits, metrics });
  const presence = new PresenceTracker(
    { store: store.presence, partners: store.messages, broker, policy, clock, metrics, onError },
    {
      instanceId,
      audience: config.presence.audience,
      graceMs: config.presence.graceMs,
      leaseMs: config.server.instanceLeaseMs,
      coalesceMs: PRESENCE_COALESCE_MS,
    },
  );
  await presence.start();
  const previousSignOfLifeMs = await store.presence.previousSignOfLife(instanceId);
  const profiles = new Profiles(store.users, policy, metrics);
  const reader = new Reader({ store: store.messages, chat, presence, profiles, policy, limits });
  const lost = { startedAtMs, previousSignOfLifeMs };
  const sends = new PageSends({ chat, store: store.messages, messagePolicy, clock, onError, ...lost });
  const forDoors = { chat, reader, profiles, registry, presence, policy, publisher, sends, connectionLimits };
  return { ...forDoors, previousSignOfLifeMs };
}
