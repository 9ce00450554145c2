/**
 * Local map of user → sessions, and the fan-out to them. One subscription to the broker per user with sessions here.
 *
 * Every session of a fan-out gets the same event object, so that a door encodes it once. A delivery never writes the
 * store.
 */
import type { ChatEvent, PresenceChanged, StreamEvent, TransientEvent } from './events.ts';
import type { Metrics } from './metrics.ts';
import type { Broker, StreamEntry, StreamListener } from './ports.ts';
import { type EndReason, Session, type SessionDependencies, type SessionOptions, type SessionSink } from './session.ts';
import { Turns } from './turns.ts';

/** Whose presence a session is told of. */
export type Watch = 'nobody' | 'everyone' | ReadonlySet<string>;

export interface OpenOptions extends SessionOptions {
  readonly watch: Watch;
  /** True for identities that see everybody whatever the audience of an announcement (Admin, Service). */
  readonly seesEverybody: boolean;
}

interface Member {
  readonly session: Session;
  watch: Watch;
  readonly seesEverybody: boolean;
}

interface UserEntry {
  readonly members: Set<Member>;
  /** Resolves when the subscription to the user's stream is live. */
  readonly subscribed: Promise<() => void>;
}

/** A session that was opened, as its door holds it. */
export interface OpenSession {
  readonly session: Session;
  /** Replaces the choice of whose presence is reported. */
  watch(watch: Watch): void;
  /** The door has gone. Idempotent. */
  close(): void;
}

export interface RegistryDependencies extends SessionDependencies {
  readonly broker: Broker;
  readonly metrics: Metrics;
  /** Told of each event before the sessions are, once per user who has any here. Default: nothing happens. */
  readonly onEvent?: (event: StreamEvent) => void;
}

/**
 * Reads of all sessions at a time, from the store and from the broker. When the broker is back they all want to read at once;
 * sends and pings must not stand behind a hundred thousand reads.
 */
const STORE_READS = 20;
const BROKER_READS = 100;
const READ_PATIENCE_MS = 2000;

export class Registry {
  readonly #deps: RegistryDependencies;
  readonly #forSessions: SessionDependencies;
  readonly #users = new Map<string, UserEntry>();
  readonly #watchers = new Set<Member>();
  readonly #stopBroadcast: () => void;
  #count = 0;

  constructor(dependencies: RegistryDependencies) {
    this.#deps = dependencies;
    this.#forSessions = inTurns(dependencies);
    this.#stopBroadcast = dependencies.broker.onBroadcast((event, audience) => this.#broadcast(event, audience));
  }

  /** Sessions open here. */
  get count(): number {
    return this.#count;
  }

  /** Opens a session: it becomes live as soon as it has recovered. */
  open(options: OpenOptions, sink: SessionSink): OpenSession {
    const session = new Session(this.#forSessions, options, sink);
    const member: Member = { session, watch: options.watch, seesEverybody: options.seesEverybody };
    const entry = this.#users.get(options.userId) ?? this.#subscribe(options.userId);
    entry.members.add(member);
    if (member.watch !== 'nobody') this.#watchers.add(member);
    this.#count += 1;
    entry.subscribed.then(
      () => session.start(),
      (error: unknown) => {
        this.#deps.onError(error);
        session.end('shuttingDown');
      },
    );
    let open = true;
    return {
      session,
      watch: (watch) => {
        member.watch = watch;
        if (watch === 'nobody' || !open) this.#watchers.delete(member);
        else this.#watchers.add(member);
      },
      close: () => {
        if (!open) return;
        open = false;
        this.#count -= 1;
        session.close();
        this.#watchers.delete(member);
        this.#leave(options.userId, entry, member);
      },
    };
  }

  /** Tells the sessions of these users that their streams may have lost something. */
  doubt(userIds: readonly string[]): void {
    for (const userId of userIds) {
      for (const member of this.#users.get(userId)?.members ?? []) member.session.onDoubt();
    }
  }

  /** Ends all sessions of one user, for example because the user was revoked. */
  endUser(userId: string, reason: EndReason): void {
    for (const member of this.#users.get(userId)?.members ?? []) member.session.end(reason);
  }

  /** Stops listening. Sessions are closed by their doors. */
  close(): void {
    this.#stopBroadcast();
  }

  #subscribe(userId: string): UserEntry {
    const members = new Set<Member>();
    const listener: StreamListener = {
      onEntry: (entry: StreamEntry) => {
        this.#deps.onEvent?.(entry.event);
        for (const member of members) member.session.onEntry(entry);
      },
      onTransient: (event) => {
        for (const member of members) member.session.onTransient(event);
      },
      onDoubt: () => {
        for (const member of members) member.session.onDoubt();
      },
    };
    const entry: UserEntry = { members, subscribed: this.#deps.broker.subscribe(userId, listener) };
    this.#users.set(userId, entry);
    // Sessions that wait for this subscription are ended; whoever comes next must get a new one.
    entry.subscribed.catch(() => this.#forget(userId, entry));
    return entry;
  }

  #leave(userId: string, entry: UserEntry, member: Member): void {
    entry.members.delete(member);
    if (entry.members.size > 0) return;
    this.#forget(userId, entry);
    entry.subscribed.then(
      (unsubscribe) => unsubscribe(),
      () => undefined,
    );
  }

  #forget(userId: string, entry: UserEntry): void {
    if (this.#users.get(userId) === entry) this.#users.delete(userId);
  }

  #broadcast(event: TransientEvent, audience: readonly string[] | undefined): void {
    if (event.type === 'presenceChanged' && event.repeatLastMs !== undefined) return;
    const allowed = audience === undefined ? undefined : new Set(audience);
    for (const member of this.#watchers) {
      if (allowed !== undefined && !member.seesEverybody && !allowed.has(member.session.userId)) continue;
      const visible = event.type === 'presenceChanged' ? watched(event, member.watch) : event;
      if (visible !== undefined) member.session.onTransient(visible);
    }
  }
}

function inTurns({ broker, clock, onError, store }: RegistryDependencies): SessionDependencies {
  const ofStore = new Turns({ clock, places: STORE_READS, patienceMs: READ_PATIENCE_MS });
  const ofBroker = new Turns({ clock, places: BROKER_READS, patienceMs: READ_PATIENCE_MS });
  return {
    clock,
    onError,
    store: {
      listPending: (...page) => ofStore.run(() => store.listPending(...page)),
      findMessage: (id) => ofStore.run(() => store.findMessage(id)),
    },
    broker: {
      readSince: (...since) => ofBroker.run(() => broker.readSince(...since)),
      top: (userId) => ofBroker.run(() => broker.top(userId)),
    },
  };
}

function watched(event: PresenceChanged, watch: Watch): Extract<ChatEvent, PresenceChanged> | undefined {
  if (watch === 'everyone') return event;
  if (watch === 'nobody') return undefined;
  const changes = event.changes.filter((change) => watch.has(change.userId));
  if (changes.length === 0) return undefined;
  return changes.length === event.changes.length ? event : { type: 'presenceChanged', changes };
}
