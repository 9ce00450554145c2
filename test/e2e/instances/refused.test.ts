/** A pair that cannot be used is refused at the start: exit code 1, what to do, and no password. */
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ACL_USER, RedisServer } from '../../servers/redis-server.ts';
import { type ProductionPair, productionSkipReason, startPair, withReason } from '../support/production.ts';
import { freePort, startProcess, temporaryFolder, testEnv } from '../support/server.ts';

const PASSWORD = 'pa55word';

describe.skipIf(productionSkipReason !== undefined)(withReason('The start is refused', productionSkipReason), () => {
  let pair: ProductionPair;
  let guarded: RedisServer;
  beforeAll(async () => {
    pair = await startPair();
    guarded = await RedisServer.start({ config: ACL_USER });
  });
  afterAll(async () => {
    await guarded[Symbol.asyncDispose]();
    await pair[Symbol.asyncDispose]();
  });

  async function refusal(env: Readonly<Record<string, string>>): Promise<string> {
    const started = startProcess(testEnv(await temporaryFolder(), { ...pair.env, ...env }));
    const error = await started.then(
      async (server) => {
        await server[Symbol.asyncDispose]();
        return new Error('It started');
      },
      (thrown: unknown) => thrown,
    );
    return String(error);
  }

  test.each<[string, () => Promise<Record<string, string>> | Record<string, string>, RegExp]>([
    [
      'with a URI of another kind',
      () => ({ MONGODB_URI: `http://a:${PASSWORD}@b` }),
      /MONGODB_URI: expected a URL that begins with mongodb/,
    ],
    [
      'with a URI that cannot be read',
      () => ({ MONGODB_URI: `mongodb://a:${PASSWORD}@b:c/` }),
      /MONGODB_URI is not a connection string; expected/,
    ],
    [
      'where no MongoDB is',
      async () => ({
        MONGODB_URI: `mongodb://a:${PASSWORD}@127.0.0.1:${await freePort()}/?serverSelectionTimeoutMS=500`,
      }),
      /No server of MONGODB_URI can be written to: check host/,
    ],
    [
      'with a name that no database can have',
      () => ({ MONGODB_DATABASE: 'a/b' }),
      /MONGODB_DATABASE: expected at most 63 letters/,
    ],
    ['with Redis and without MongoDB', () => ({ MONGODB_URI: '' }), /MONGODB_URI: expected together with REDIS_URL/],
    [
      'with a Redis URL of another kind',
      () => ({ REDIS_URL: `http://a:${PASSWORD}@b` }),
      /REDIS_URL: expected a URL that begins with redis/,
    ],
    [
      'where no Redis is',
      async () => ({ REDIS_URL: `redis://a:${PASSWORD}@127.0.0.1:${await freePort()}` }),
      /Redis at 127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\): check REDIS_URL and that it runs/,
    ],
    [
      'with a password that Redis refuses',
      () => ({ REDIS_URL: `redis://chat:${PASSWORD}@127.0.0.1:${guarded.port}` }),
      /refuses the credentials: check user and password in REDIS_URL/,
    ],
    [
      'with a prefix that changes hash tags',
      () => ({ REDIS_PREFIX: 'a{b}' }),
      /REDIS_PREFIX: expected a text without braces/,
    ],
  ])('%s', async (_name, env, message) => {
    const text = await refusal(await env());
    expect(text).toMatch(/The server ended with 1/);
    expect(text).toMatch(message);
    expect(text).not.toContain(PASSWORD);
    expect(text).not.toMatch(/\n\s+at /);
  });

  test('with a schema from the future', async () => {
    const client = new MongoClient(pair.mongo.uri);
    const database = `${pair.database}-future`;
    await client
      .db(database)
      .collection('schema')
      .insertOne({ _id: 'version' as never, version: 99 });
    const text = await refusal({ MONGODB_DATABASE: database });
    await client.db(database).dropDatabase();
    await client.close();
    expect(text).toMatch(/The server ended with 1/);
    expect(text).toMatch(/has schema 99, this version of the server knows 1; start the newer version/);
    expect(text).not.toMatch(/\n\s+at /);
  });
});
