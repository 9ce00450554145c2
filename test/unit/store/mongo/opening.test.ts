import { createServer } from 'node:net';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import { prepareDatabase, SCHEMA_VERSION } from '../../../../src/store/mongo/migrations.ts';
import { COLLECTION_NAMES, declarationOf, SCHEMA_COLLECTION, validatorOf } from '../../../../src/store/mongo/schema.ts';
import { openMongoStore } from '../../../../src/store/mongo/store.ts';
import { TcpProxy } from '../../../e2e/support/tcp-proxy.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { temporaryMongoStore } from './opened.ts';

const SECRET = 'pa55word';

async function refusal(uri: string, database = 'chat'): Promise<Error> {
  try {
    await openMongoStore({ uri, database, serverSelectionTimeoutMs: 300 });
  } catch (error) {
    return error as Error;
  }
  throw new Error('It was opened');
}

describe('Opening refuses', () => {
  test.each([
    ['what is no URI', `chat:${SECRET}@localhost`, 'is not a connection string'],
    ['an unescaped password', `mongodb://ann:${SECRET}/@localhost`, 'is not a connection string'],
    ['an unknown option', `mongodb://ann:${SECRET}@127.0.0.1:1/?nonsense=1`, 'is not a connection string'],
    ['a host whose name speaks of authentication', `mongodb://ann:${SECRET}@auth.invalid:1/`, 'check host, port'],
    ['a server that is not there', `mongodb://ann:${SECRET}@127.0.0.1:1/`, 'check host, port'],
  ])('%s, says what to do and not the password', async (_, uri, text) => {
    const error = await refusal(uri);
    expect(error.name).toBe('UnusableServerError');
    expect(error.message).toContain(text);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain(SECRET);
  });

  test('a name that no database can have', async () => {
    for (const name of ['', 'a b', 'a/b', 'x'.repeat(64)]) {
      expect((await refusal('mongodb://127.0.0.1:1/', name)).message).toContain('MONGODB_DATABASE');
    }
  });

  test('something that is no MongoDB', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n', () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    expect((await refusal(`mongodb://127.0.0.1:${port}/`)).name).toBe('UnusableServerError');
    await new Promise((resolve) => server.close(resolve));
  });
});

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`Opening on ${choice.kind}`, () => {
    let server: RunningMongo;
    beforeAll(async () => {
      server = await choice.start();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('makes the declared indexes, and can be repeated', async () => {
      const lines: string[] = [];
      const log = (line: string): number => lines.push(line);
      const first = await temporaryMongoStore(server.uri, { log });
      const again = await openMongoStore({ uri: server.uri, database: first.database });
      const database = again.client.db(first.database);
      for (const name of COLLECTION_NAMES) {
        const made = (await database.collection(name).indexes()).map(({ key, unique }) => ({
          key,
          unique: unique === true,
        }));
        for (const { key, unique } of declarationOf(name).indexes) {
          expect(made).toContainEqual({ key, unique: unique === true });
        }
      }
      expect(lines).toEqual(
        choice.kind === 'FerretDB' ? ['The MongoDB server has no validators; the store goes on without'] : [],
      );
      await again.close();
      await first.close();
    });

    test('changes no collection that is as it should be', async () => {
      const { close, database } = await temporaryMongoStore(server.uri);
      const again = new MongoClient(server.uri, { monitorCommands: true });
      const names: string[] = [];
      again.on('commandStarted', ({ commandName }) => names.push(commandName));
      const found = again.db(database);
      const asDeclared = COLLECTION_NAMES.map((name) => ({
        name,
        options: { validator: validatorOf(declarationOf(name)) },
      }));
      // As a MongoDB says it; the other two keep no validators.
      vi.spyOn(found, 'listCollections').mockReturnValue({ toArray: async () => asDeclared } as never);
      await prepareDatabase(found, Date.now, () => undefined);
      expect([...new Set(names)].toSorted()).toEqual(['createIndexes', 'find']);
      await again.close();
      await close();
    });

    test('keeps to the concerns that it promises, whatever the URI says', async () => {
      const uri = `${server.uri}${server.uri.includes('?') ? '&' : '?'}w=1&journal=false&readConcernLevel=local&wtimeoutMS=5`;
      const { close, store } = await temporaryMongoStore(uri, { monitorCommands: true });
      const concerns: unknown[] = [];
      store.client.on('commandStarted', ({ command }) => concerns.push(command.readConcern ?? command.writeConcern));
      await store.users.upsert({ userId: 'ann', name: 'Ann' });
      await store.users.find(['ann']);
      expect(concerns).toEqual([{ w: 'majority', j: true }, { level: 'majority' }]);
      await close();
    });

    test('takes the index that the former system has on its users', async () => {
      const { close, database, store } = await temporaryMongoStore(server.uri);
      const users = store.client.db(database).collection('AppUsers');
      await users.drop();
      await users.createIndex({ AppUserId: 1 }, { unique: true });
      await (await openMongoStore({ uri: server.uri, database })).close();
      await users.dropIndex('AppUserId_1');
      await users.createIndex({ AppUserId: 1 }, { name: 'by_user' });
      await (await openMongoStore({ uri: server.uri, database })).close();
      await close();
    });

    test('refuses a schema from the future and leaves it alone', async () => {
      const { close, database, store } = await temporaryMongoStore(server.uri);
      const schema = store.client.db(database).collection<{ _id: string; version: number }>(SCHEMA_COLLECTION);
      await schema.updateOne({ _id: 'version' }, { $set: { version: SCHEMA_VERSION + 1 } });
      expect((await refusal(server.uri, database)).message).toContain(`knows ${SCHEMA_VERSION}`);
      expect(await schema.findOne({ _id: 'version' })).toEqual({ _id: 'version', version: SCHEMA_VERSION + 1 });
      expect(await schema.findOne({ _id: 'lock' })).toBeNull();
      await close();
    });

    test('takes over the lock of an instance that died in a migration', async () => {
      const { close, database, store } = await temporaryMongoStore(server.uri);
      const schema = store.client.db(database).collection<{ _id: string }>(SCHEMA_COLLECTION);
      await schema.deleteOne({ _id: 'version' });
      await schema.insertOne({ _id: 'lock', ...{ owner: 'dead', untilMs: Date.now() - 1 } });
      const second = await openMongoStore({ uri: server.uri, database });
      expect(await schema.findOne({ _id: 'lock' })).toBeNull();
      expect(await schema.findOne({ _id: 'version' })).toEqual({ _id: 'version', version: SCHEMA_VERSION });
      await second.close();
      await close();
    });

    test('finds users of the former system by their id, own profiles first', async () => {
      const { close, database, store } = await temporaryMongoStore(server.uri);
      const { ObjectId } = await import('mongodb');
      const AppUserId = new ObjectId();
      const former = { AppUserId, FirstName: 'Ann', LastName: 'Lee', Email: 'a@example.org', Role: 'Client' };
      await store.client.db(database).collection('AppUsers').insertOne(former);
      const reopened = await openMongoStore({ uri: server.uri, database });
      const userId = AppUserId.toHexString();
      await reopened.users.upsert({ userId, name: 'Anna' });
      expect((await reopened.users.find([userId, newId(0)])).get(userId)).toEqual({
        userId,
        name: 'Anna',
        email: 'a@example.org',
        role: 'Client',
      });
      await reopened.close();
      await close();
    });

    test('says within seconds that the server does not answer', async () => {
      await using proxy = await TcpProxy.open(Number(new URL(server.uri).port));
      const uri = new URL(server.uri);
      uri.port = `${proxy.port}`;
      const { close, store } = await temporaryMongoStore(uri.href);
      expect(await store.isReachable()).toBe(true);
      proxy.freeze();
      const beganMs = performance.now();
      expect(await store.isReachable()).toBe(false);
      expect(performance.now() - beganMs).toBeLessThan(8000);
      proxy.thaw();
      await close();
    });

    test('after closing, calls are refused', async () => {
      const { close, store } = await temporaryMongoStore(server.uri);
      await close();
      await expect(store.messages.findMessage('x')).rejects.toMatchObject({ code: 'unavailable' });
    });
  });
}
