/** What a user's presence document comes to, and how it changes. Pure. */
import type { Presence } from '../../core/message.ts';
import type { PresenceWrite } from '../../core/ports.ts';
import type { ConnectionEntry, PresenceDocument } from './presence-documents.ts';

/** By instance: when its lease ends; an instance without a lease has none that counts. */
export type Leases = ReadonlyMap<string, number>;

export function newcomer(userId: string): PresenceDocument {
  return { _id: userId, version: 0, connections: [], instances: [], online: false };
}

/** Whether any connection counts. */
export function isOnline({ connections }: PresenceDocument, leases: Leases, nowMs: number): boolean {
  return connections.some((entry) => counts(entry, leases, nowMs));
}

export function toPresence(document: PresenceDocument, leases: Leases, nowMs: number): Presence {
  const lastSeenMs = Math.max(document.lastSeenMs ?? 0, lapsedAt(document.connections, leases, nowMs));
  return {
    userId: document._id,
    online: isOnline(document, leases, nowMs),
    ...(lastSeenMs > 0 && { lastSeenMs }),
  };
}

/** The document after a connection began or ended. */
export function changed(document: PresenceDocument, instanceId: string, write: PresenceWrite): PresenceDocument {
  const isIt = (entry: ConnectionEntry): boolean => entry.i === instanceId && entry.c === write.connectionId;
  const known = document.connections.find(isIt);
  const others = document.connections.filter((entry) => !isIt(entry));
  if (write.type === 'connected') {
    return withConnections(document, [
      ...others,
      { i: instanceId, c: write.connectionId, at: known?.at ?? write.atMs },
    ]);
  }
  if (known === undefined) return document;
  const lastSeenMs = Math.max(document.lastSeenMs ?? 0, write.atMs);
  return withConnections({ ...document, lastSeenMs }, [...others, { ...known, linger: write.lingerUntilMs }]);
}

/** The document without what counts no longer; itself if there is nothing of that sort. */
export function swept(document: PresenceDocument, leases: Leases, nowMs: number): PresenceDocument {
  const alive = document.connections.filter((entry) => counts(entry, leases, nowMs));
  if (alive.length === document.connections.length) return document;
  const lastSeenMs = Math.max(document.lastSeenMs ?? 0, lapsedAt(document.connections, leases, nowMs));
  return withConnections({ ...document, ...(lastSeenMs > 0 && { lastSeenMs }) }, alive);
}

function withConnections(document: PresenceDocument, connections: readonly ConnectionEntry[]): PresenceDocument {
  const { endsAtMs: _, untoldMs: __, ...rest } = document;
  const ends = connections.flatMap(({ linger }) => linger ?? []);
  return {
    ...rest,
    connections,
    instances: [...new Set(connections.map(({ i }) => i))],
    online: connections.length > 0,
    ...(ends.length > 0 && { endsAtMs: Math.min(...ends) }),
  };
}

function counts({ i, linger }: ConnectionEntry, leases: Leases, nowMs: number): boolean {
  return (leases.get(i) ?? 0) > nowMs && (linger === undefined || linger > nowMs);
}

/** When the last of the connections lapsed whose instance died; 0 if none did. */
function lapsedAt(connections: readonly ConnectionEntry[], leases: Leases, nowMs: number): number {
  let last = 0;
  for (const { at, i, linger } of connections) {
    const untilMs = leases.get(i) ?? 0;
    if (untilMs <= nowMs && linger === undefined) last = Math.max(last, untilMs, at);
  }
  return last;
}
