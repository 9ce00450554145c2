/** The production pair of tests: a server that speaks MongoDB's protocol, and a real Redis. */
import { randomUUID } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { chooseMongoServers, type MongoServerChoice, type RunningMongo } from '../../servers/mongo-servers.ts';
import { RedisServer, redisSkipReason } from '../../servers/redis-server.ts';

/** A server whose updates are atomic, as MongoDB's are: the first of this machine that is one. */
const choices = await chooseMongoServers();
export const mongoChoice: MongoServerChoice | undefined = choices.find((choice) => choice.kind !== 'FerretDB');
/** A server that keeps its data when it is killed. */
export const durableMongoChoice: MongoServerChoice | undefined = choices.find((choice) => choice.survivesKill);

/** Why tests of many instances are left out here; undefined if they run. */
export const productionSkipReason: string | undefined =
  mongoChoice === undefined ? 'no MongoDB' : (mongoChoice.missing ?? redisSkipReason);

/** Title of a block that may be left out, with the reason. */
export function withReason(title: string, reason: string | undefined): string {
  return reason === undefined ? title : `${title} (${reason})`;
}

export interface ProductionPair extends AsyncDisposable {
  readonly mongo: RunningMongo;
  readonly redis: RedisServer;
  readonly database: string;
  /** What an instance needs in its environment to use the pair. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts both, with a database of their own. */
export async function startPair(choice: MongoServerChoice | undefined = mongoChoice): Promise<ProductionPair> {
  if (choice === undefined) throw new Error('There is no server that speaks the protocol of MongoDB');
  const [mongo, redis] = await Promise.all([choice.start(), RedisServer.start()]);
  const database = `chat-e2e-${randomUUID().slice(0, 8)}`;
  return {
    mongo,
    redis,
    database,
    env: {
      MONGODB_URI: mongo.uri,
      MONGODB_DATABASE: database,
      REDIS_URL: redis.url,
      REDIS_PREFIX: `${database}_`,
      PRESENCE_GRACE_MS: '50',
    },
    async [Symbol.asyncDispose]() {
      const client = new MongoClient(mongo.uri, { serverSelectionTimeoutMS: 1000 });
      await client
        .db(database)
        .dropDatabase()
        .catch(() => undefined);
      await client.close();
      await Promise.all([mongo[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()]);
    },
  };
}
