/**
 * Claims of message ids and client ids: inserts under unique keys, made before the message is.
 *
 * A client id that is claimed names its message for ever. Whoever retries under it either finds that message, or writes
 * it under the id that the first attempt chose; if both write at once, the unique id lets one win. So a send under a
 * client id is stored once, whoever dies in between.
 */
import { Lru } from '../../core/lru.ts';
import type { AppendOp } from '../../core/ports.ts';
import type { Collections } from './collections.ts';
import { alternatives, CHUNK, chunks, ONE_ANSWER } from './conversations.ts';
import { type ClientIdDocument, type MessageDocument, type PlaceDocument, toMessage } from './documents.ts';
import { insertAll, insertMissing, TroubleError, unavailable } from './failure.ts';
import { pairKey } from './keys.ts';
import type { Item } from './plan.ts';

const PLACES_KEPT = 32_768;

type Append = Item<AppendOp>;

/** What a wave has claimed. */
export interface Claimed {
  /** Items whose client id was used before, with its claim. */
  readonly used: readonly { readonly item: Append; readonly claim: ClientIdDocument }[];
  /** Items with the client id of an earlier one in the wave. */
  readonly followers: readonly { readonly item: Append; readonly leader: Append }[];
  /** Message ids that were claimed for nothing. */
  readonly idle: string[];
}

export class Claims {
  readonly #collections: Collections;
  /** Conversation by message id; it never changes. */
  readonly #places = new Lru<string, string>(PLACES_KEPT);

  constructor(collections: Collections) {
    this.#collections = collections;
  }

  /** Takes note of where a stored message is. */
  note(messageId: string, conversation: string): void {
    this.#places.set(messageId, conversation);
  }

  /** The conversation of a message, also of one that was claimed and never stored. */
  async placeOf(messageId: string): Promise<string | undefined> {
    const known = this.#places.get(messageId);
    if (known !== undefined) return known;
    const place = await this.#collections.places.findOne({ _id: messageId });
    if (place === null) return undefined;
    this.note(messageId, place.c);
    return place.c;
  }

  /** Claims the ids of all. Items whose message id is taken get their outcome. */
  async take(items: readonly Append[]): Promise<Claimed> {
    const leaders = new Map<string, Append>();
    const followers: { item: Append; leader: Append }[] = [];
    const own: Append[] = [];
    for (const item of items) {
      const key = clientKeyOf(item);
      const leader = key === undefined ? undefined : leaders.get(key);
      if (leader !== undefined) {
        item.follows = true;
        followers.push({ item, leader });
        continue;
      }
      if (key !== undefined) leaders.set(key, item);
      own.push(item);
    }
    const named = [...leaders];
    const [places, clientIds] = await Promise.all([
      insertAll(
        this.#collections.places,
        own.map((item) => placeOf(item, item.id)),
      ),
      insertAll(
        this.#collections.clientIds,
        named.map(([_id, { id, c, operation }]) => ({ _id, m: id, c, d: operation.digest ?? '' })),
      ),
    ]);
    const taken: string[] = [];
    const failed = [...places.failed].flatMap(([index, failure]) => {
      const item = own[index];
      return item === undefined ? [] : [{ item, failure }];
    });
    const shared = await this.#placesUnder(failed.map(({ item }) => item));
    for (const { item, failure } of failed) {
      // Somebody who retries was quicker to claim it, for this very send.
      if (failure === true && shared.has(item.id)) continue;
      const error = failure === true ? new Error('The id of the message is taken') : failure;
      item.outcome = { type: 'failed', error };
    }
    const usedKeys: string[] = [];
    for (const [index, [key, item]] of named.entries()) {
      const failure = clientIds.failed.get(index);
      if (failure === true) usedKeys.push(key);
      else if (failure !== undefined) item.outcome = { type: 'failed', error: failure };
      else if (item.outcome !== undefined) taken.push(key);
    }
    if (taken.length > 0) await this.#collections.clientIds.deleteMany({ _id: { $in: taken } });
    const used = await this.#findUsed(usedKeys, leaders);
    // Given back meanwhile, or not readable yet: without it the send could become two.
    const found = new Set(used.map(({ claim }) => claim._id));
    for (const key of usedKeys) {
      const item = leaders.get(key);
      if (item === undefined || found.has(key)) continue;
      item.outcome ??= { type: 'failed', error: unavailable(new Error('The claim of its client id is not there')) };
    }
    return { used, followers, idle: [] };
  }

  /** Answers retries whose message is stored; the others go on under the id that the first attempt chose. */
  async settle(claimed: Claimed, reveal: (message: MessageDocument) => Promise<void>): Promise<void> {
    // The id of the very same send, written again, is the stored message's own.
    const owned = claimed.used
      .filter(({ claim, item }) => item.outcome === undefined && claim.m !== item.operation.id)
      .map(({ item }) => item);
    const open = claimed.used.filter(({ item, claim }) => {
      if (claim.d === (item.operation.digest ?? '') && claim.c === item.c) return true;
      item.outcome = { type: 'conflict' };
      return false;
    });
    const stored = await this.#findMessages(open.map(({ claim }) => ({ c: claim.c, _id: claim.m })));
    for (const { item, claim } of open) {
      const message = stored.get(claim.m);
      if (message !== undefined) {
        await reveal(message);
        item.outcome = { type: 'appended', message: toMessage(message), duplicate: true };
      } else if (item.outcome === undefined || claim.m === item.id) {
        item.outcome = undefined;
        await this.#adopt(item, claim);
      }
    }
    for (const item of owned) {
      if (item.outcome !== undefined || item.id !== item.operation.id) claimed.idle.push(item.operation.id);
    }
  }

  /** Answers those that followed an item that was stored; returns the others, which have to be tried on their own. */
  answerFollowers({ followers }: Claimed): Append[] {
    const unanswered: Append[] = [];
    for (const { item, leader } of followers) {
      const { outcome } = leader;
      if (outcome?.type !== 'appended') unanswered.push(item);
      else if (item.operation.digest !== leader.operation.digest) item.outcome = { type: 'conflict' };
      else item.outcome = { ...outcome, duplicate: true };
    }
    return unanswered;
  }

  /** Gives back message ids that were claimed for nothing. */
  async release({ idle }: Claimed): Promise<void> {
    if (idle.length > 0) await this.#collections.places.deleteMany({ _id: { $in: idle } });
  }

  async #adopt(item: Append, claim: ClientIdDocument): Promise<void> {
    const { clientIds, places } = this.#collections;
    await insertMissing(places, [placeOf(item, claim.m)]);
    const place = await places.findOne({ _id: claim.m });
    if (place === null) throw new TroubleError('The place of a message is not there');
    if (place.k === claim._id) {
      item.id = claim.m;
      return;
    }
    // The first attempt had chosen an id that was another message's, and died before it could say so.
    await insertMissing(places, [placeOf(item, item.operation.id)]);
    await clientIds.updateOne({ _id: claim._id, m: claim.m }, { $set: { m: item.operation.id } });
    const now = await clientIds.findOne({ _id: claim._id });
    item.id = now?.m ?? item.operation.id;
  }

  /** Of the ids of the items, those that are claimed for the same send. */
  async #placesUnder(items: readonly Append[]): Promise<Set<string>> {
    const keys = new Map(items.map((item) => [item.id, clientKeyOf(item)]));
    const ids = items.filter((item) => clientKeyOf(item) !== undefined).map(({ id }) => id);
    if (ids.length === 0) return new Set();
    const places = await this.#collections.places.find({ _id: { $in: ids } }, ONE_ANSWER).toArray();
    return new Set(places.filter(({ _id, k }) => k !== undefined && k === keys.get(_id)).map(({ _id }) => _id));
  }

  async #findUsed(keys: readonly string[], leaders: ReadonlyMap<string, Append>): Promise<Claimed['used']> {
    if (keys.length === 0) return [];
    const claims = await this.#collections.clientIds.find({ _id: { $in: [...keys] } }, ONE_ANSWER).toArray();
    return claims.flatMap((claim) => {
      const item = leaders.get(claim._id);
      return item === undefined ? [] : [{ item, claim }];
    });
  }

  async #findMessages(places: readonly { c: string; _id: string }[]): Promise<Map<string, MessageDocument>> {
    const found = new Map<string, MessageDocument>();
    for (const chunk of chunks(places, CHUNK)) {
      for (const message of await this.#collections.messages.find(alternatives(chunk), ONE_ANSWER).toArray()) {
        found.set(message._id, message);
      }
    }
    return found;
  }
}

function placeOf(item: Append, id: string): PlaceDocument {
  const k = clientKeyOf(item);
  return { _id: id, c: item.c, ...(k !== undefined && { k }) };
}

function clientKeyOf({ operation }: Append): string | undefined {
  const { clientMessageId, senderId } = operation;
  return clientMessageId === undefined ? undefined : pairKey(senderId, clientMessageId);
}
