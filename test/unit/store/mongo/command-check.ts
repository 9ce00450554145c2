/**
 * Checks commands against the declared indexes: equality prefix, then sort, then range, and the shard key in all of it.
 * The stand-in servers scan whatever they are asked, so their plans say nothing of MongoDB's; this does.
 */
import type { Document, MongoClient } from 'mongodb';
import {
  COLLECTION_NAMES,
  type CollectionDeclaration,
  type CollectionName,
  declarationOf,
} from '../../../../src/store/mongo/schema.ts';

type Key = Readonly<Record<string, 1 | -1>>;

/** One question that a command asks of a collection. */
export interface Question {
  readonly command: string;
  readonly collection: string;
  readonly filter: Document;
  readonly sort: Key;
  readonly limited: boolean;
  readonly upsert: boolean;
}

/** What goes to every shard, and why that is all right; by collection and the fields of the filter. */
const BROADCAST: ReadonlySet<string> = new Set([
  // Once per lease period and instance.
  'presence endsAtMs',
  'presence untoldMs',
  'presence instances',
]);

/** The questions of a command; none for a command that asks nothing (an insert, a ping, a further page). */
export function questionsOf(name: string, command: Document): Question[] {
  const collection = String(command[name]);
  const ask = (filter: unknown, more: Partial<Question> = {}): Question => ({
    command: name,
    collection,
    filter: (filter ?? {}) as Document,
    sort: {},
    limited: false,
    upsert: false,
    ...more,
  });
  switch (name) {
    case 'find':
      return [ask(command.filter, { sort: toKey(command.sort), limited: command.limit > 0 })];
    case 'findAndModify':
      return [ask(command.query, { sort: toKey(command.sort), limited: true, upsert: command.upsert === true })];
    case 'count':
    case 'distinct':
      return [ask(command.query)];
    case 'update':
      return command.updates.map((update: Document) => ask(update.q, { upsert: update.upsert === true }));
    case 'delete':
      return command.deletes.map((item: Document) => ask(item.q));
    case 'aggregate':
      return [ask(command.pipeline[0]?.$match)];
    default:
      return [];
  }
}

/** What is wrong with a question; undefined if nothing is. */
export function objectionTo(question: Question, declaration: CollectionDeclaration): string | undefined {
  const indexes: Key[] = [{ _id: 1 }, ...declaration.indexes.map(({ key }) => key)];
  for (const branch of branchesOf(question.filter)) {
    if (!indexes.some((index) => serves(index, branch, question))) return 'no index serves it';
    const missing = missingShardKey(branch, question, declaration);
    if (missing !== undefined) return `it lacks the shard key ${missing}`;
  }
  return undefined;
}

/** A filter without `$or`: conditions by field. */
type Branch = ReadonlyMap<string, readonly unknown[]>;

function branchesOf(filter: Document): Branch[] {
  let branches: Map<string, unknown[]>[] = [new Map()];
  for (const [field, condition] of Object.entries(filter)) {
    if (field === '$or') {
      const alternatives = (condition as Document[]).flatMap(branchesOf);
      branches = branches.flatMap((branch) => alternatives.map((other) => merged(branch, other)));
    } else if (field.startsWith('$')) {
      throw new Error(`The check does not know ${field}`);
    } else {
      for (const branch of branches) branch.set(field, [...(branch.get(field) ?? []), condition]);
    }
  }
  return branches;
}

function merged(a: Branch, b: Branch): Map<string, unknown[]> {
  const all = new Map([...a].map(([field, conditions]) => [field, [...conditions]]));
  for (const [field, conditions] of b) all.set(field, [...(all.get(field) ?? []), ...conditions]);
  return all;
}

type Kind = 'equality' | 'set' | 'range' | 'rest';

function kindOf(branch: Branch, field: string): Kind {
  const kinds = (branch.get(field) ?? []).map((condition): Kind => {
    if (condition === null || typeof condition !== 'object' || !isOperators(condition)) return 'equality';
    const operators = Object.keys(condition);
    if (operators.includes('$eq')) return 'equality';
    if (operators.includes('$in')) return 'set';
    return operators.some((operator) => ['$gt', '$gte', '$lt', '$lte'].includes(operator)) ? 'range' : 'rest';
  });
  return (['equality', 'set', 'range'] as const).find((kind) => kinds.includes(kind)) ?? 'rest';
}

function isOperators(condition: object): boolean {
  return Object.keys(condition).some((key) => key.startsWith('$'));
}

function serves(index: Key, branch: Branch, { limited, sort }: Question): boolean {
  const fields = Object.keys(index);
  const wanted = Object.keys(sort).filter((field) => kindOf(branch, field) !== 'equality');
  let bounded = 0;
  // A set of values is as good as one, unless the order has to come from what follows.
  const isPrefix = (field: string): boolean => {
    const kind = kindOf(branch, field);
    return kind === 'equality' || (kind === 'set' && wanted.length === 0);
  };
  while (bounded < fields.length && isPrefix(fields[bounded] ?? '')) bounded += 1;
  const rest = fields.slice(bounded);
  const next = rest[0];
  const hasRange = next !== undefined && kindOf(branch, next) === 'range';
  if (wanted.length > 0) {
    if (wanted.some((field, at) => rest[at] !== field)) return false;
    const directions = new Set(wanted.map((field) => (index[field] ?? 0) * (sort[field] ?? 0)));
    if (directions.size > 1) return false;
    // Without a bound, only the first few may be asked for.
    return bounded > 0 || hasRange || (limited && branch.size === 0);
  }
  return bounded > 0 || hasRange;
}

function missingShardKey(
  branch: Branch,
  { collection, upsert }: Question,
  { shardKey }: CollectionDeclaration,
): string | undefined {
  const fields = Object.keys(shardKey ?? {});
  // The beginning of a key names the shards; an upsert has to name the one.
  for (const field of upsert ? fields : fields.slice(0, 1)) {
    const kind = kindOf(branch, field);
    if (kind === 'equality' || (!upsert && (kind === 'set' || kind === 'range'))) continue;
    if (!BROADCAST.has(`${collection} ${[...branch.keys()].join(' ')}`)) return field;
  }
  return undefined;
}

function toKey(sort: unknown): Key {
  if (sort instanceof Map) return Object.fromEntries(sort);
  return (sort ?? {}) as Key;
}

/** Listens to the commands of clients and keeps what is wrong with them. */
export class CommandWatch {
  /** Questions that were checked. */
  checked = 0;
  readonly objections = new Set<string>();
  /** One example of each shape, to explain on a server that can. */
  readonly examples = new Map<string, Question>();

  watch(client: MongoClient): void {
    client.on('commandStarted', ({ command, commandName }) => {
      for (const question of questionsOf(commandName, command)) this.#check(question);
    });
  }

  /** Asks the server for the plan of each shape; answers those that scan a collection or sort in memory. */
  async explain(client: MongoClient, database: string): Promise<string[]> {
    const bad: string[] = [];
    for (const [shape, { collection, filter, sort }] of this.examples) {
      const plan = await client
        .db(database)
        .collection(collection)
        .find(filter)
        .sort({ ...sort })
        .explain('queryPlanner');
      const stages = JSON.stringify(plan.queryPlanner.winningPlan);
      if (/"stage":"(COLLSCAN|SORT)"/.test(stages)) bad.push(shape);
    }
    return bad;
  }

  #check(question: Question): void {
    const name = COLLECTION_NAMES.find((known): known is CollectionName => known === question.collection);
    if (name === undefined) return;
    this.checked += 1;
    const shape = `${question.command} ${name} ${shapeOf(question.filter)} sort ${JSON.stringify(question.sort)}`;
    const objection = objectionTo(question, declarationOf(name));
    if (objection !== undefined) this.objections.add(`${shape}: ${objection}`);
    else if (question.command === 'find') this.examples.set(shape, question);
  }
}

function shapeOf(filter: Document): string {
  const branches = branchesOf(filter).map((branch) =>
    [...branch.keys()].map((field) => `${field}:${kindOf(branch, field)}`).join(','),
  );
  return `{${[...new Set(branches)].join(' | ')}}`;
}
