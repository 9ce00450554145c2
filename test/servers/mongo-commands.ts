/**
 * What a store asks its MongoDB server: each command as the driver's events tell it, and how many of them had to be waited
 * for one after the other. Counts only; no time is looked at, only which event came before which.
 */
import type { Document, MongoClient } from 'mongodb';

/** One command, in the order of events. */
export interface LoggedCommand {
  /** Name and collection, such as `find rows`. */
  readonly name: string;
  /** How many documents an insert brings, or statements an update or a delete. */
  readonly brought: number;
  /** On which connection it was sent. */
  readonly connection: unknown;
  /** Place of its start among all events. */
  readonly began: number;
  /** Place of its answer among all events; undefined while there is none. */
  ended: number | undefined;
  /** Documents in the answer of a read. */
  returned: number;
}

/** Collects the commands of a client that was opened with `monitorCommands`. */
export class CommandLog {
  #commands: LoggedCommand[] = [];
  readonly #running = new Map<number, LoggedCommand>();
  #events = 0;

  watch(client: MongoClient): void {
    client.on('commandStarted', ({ command, commandName, connectionId, requestId }) => {
      const on = command[commandName];
      const logged: LoggedCommand = {
        name: typeof on === 'string' ? `${commandName} ${on}` : commandName,
        brought: broughtBy(command),
        connection: connectionId,
        began: this.#events++,
        ended: undefined,
        returned: 0,
      };
      this.#commands.push(logged);
      this.#running.set(requestId, logged);
    });
    client.on('commandSucceeded', ({ reply, requestId }) => this.#end(requestId, returnedBy(reply)));
    client.on('commandFailed', ({ requestId }) => this.#end(requestId, 0));
  }

  /** Commands without an answer so far. */
  get running(): number {
    return this.#running.size;
  }

  /** Everything since the last call, in the order of starts. */
  take(): readonly LoggedCommand[] {
    const taken = this.#commands;
    this.#commands = [];
    return taken;
  }

  /** Everything that has begun since the last `take`. */
  get all(): readonly LoggedCommand[] {
    return this.#commands;
  }

  #end(requestId: number, returned: number): void {
    const command = this.#running.get(requestId);
    if (command === undefined) return;
    this.#running.delete(requestId);
    command.ended = this.#events++;
    command.returned = returned;
  }
}

/**
 * How many of the commands came one after the other: the longest row in which each began when the one before had been
 * answered. Commands that run side by side are one round trip.
 */
export function roundTrips(commands: readonly LoggedCommand[]): number {
  let trips = 0;
  let free = -1;
  const byEnd = commands.toSorted(
    (a, b) => (a.ended ?? Number.POSITIVE_INFINITY) - (b.ended ?? Number.POSITIVE_INFINITY),
  );
  for (const { began, ended = Number.POSITIVE_INFINITY } of byEnd) {
    if (began <= free) continue;
    trips += 1;
    free = ended;
  }
  return trips;
}

/** How often each command was sent, by name. */
export function countsOf(commands: readonly LoggedCommand[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { name } of commands) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Documents in the answers of all reads. */
export function returnedBySum(commands: readonly LoggedCommand[]): number {
  return commands.reduce((sum, { returned }) => sum + returned, 0);
}

function broughtBy(command: Document): number {
  const list: unknown = command.documents ?? command.updates ?? command.deletes;
  return Array.isArray(list) ? list.length : 0;
}

function returnedBy(reply: unknown): number {
  const { cursor } = (reply ?? {}) as { cursor?: { firstBatch?: unknown[]; nextBatch?: unknown[] } };
  return cursor?.firstBatch?.length ?? cursor?.nextBatch?.length ?? 0;
}
