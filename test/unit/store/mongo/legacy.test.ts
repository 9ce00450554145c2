/** The migration from the documents of the former system: a made-up dump, killed half-way and run again. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { MongoClient, ObjectId } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrateCommand } from '../../../../src/cli/migrate-command.ts';
import { readLegacyMessage } from '../../../../src/store/mongo/legacy/legacy-message.ts';
import { migrateLegacy } from '../../../../src/store/mongo/legacy/migration.ts';
import { openMongoStore } from '../../../../src/store/mongo/store.ts';
import { openPage } from '../../../e2e/support/pages.ts';
import { startServer } from '../../../e2e/support/server.ts';
import { TcpProxy } from '../../../e2e/support/tcp-proxy.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';

const T0 = Date.UTC(2024, 0, 1);
const root = join(import.meta.dirname, '..', '..', '..', '..');

describe('A document of the former system', () => {
  const [sender, receiver] = [new ObjectId(), new ObjectId()];
  const document = {
    _id: new ObjectId(),
    SenderId: sender,
    ReceiverId: receiver,
    Message: 'hi',
    Timestamp: new Date(T0),
  };
  const message = {
    id: document._id.toHexString(),
    senderId: sender.toHexString(),
    receiverId: receiver.toHexString(),
    text: 'hi',
    sentAtMs: T0,
  };

  test('without a status is a message that was sent', () => {
    expect(readLegacyMessage({ ...document, Status: null })).toEqual(message);
  });

  test('tells by flag or by status what became of it, a reading implies a delivery', () => {
    const delivered = { ...message, deliveredAtMs: T0 + 5 };
    expect(readLegacyMessage({ ...document, IsDelivered: true, DeliveredAt: new Date(T0 + 5) })).toEqual(delivered);
    expect(readLegacyMessage({ ...document, Status: 'Delivered', DeliveredAt: new Date(T0 + 5) })).toEqual(delivered);
    const read = { ...message, deliveredAtMs: T0 + 9, readAtMs: T0 + 9 };
    expect(readLegacyMessage({ ...document, IsRead: true, ReadAt: new Date(T0 + 9) })).toEqual(read);
    expect(readLegacyMessage({ ...document, Status: 'read' })).toEqual({ ...message, deliveredAtMs: T0, readAtMs: T0 });
  });

  test('that was deleted keeps no text', () => {
    const deleted = { ...document, IsDeleted: true, DeletedAt: new Date(T0 + 1) };
    expect(readLegacyMessage(deleted)).toEqual({ ...message, text: '', deletedAtMs: T0 + 1 });
  });

  test.each([
    ['it has no usable sender', { SenderId: null }],
    ['it has no usable receiver', { ReceiverId: 'a\nb' }],
    ['sender and receiver are one', { ReceiverId: sender }],
    ['it has no time', { Timestamp: '2024-01-01' }],
    ['it has no text', { Message: null }],
  ])('is left out if %s', (reason, change) => {
    expect(readLegacyMessage({ ...document, ...change })).toBe(reason);
  });
});

describe('The migration command', () => {
  test('says how it is called', async () => {
    const run = (args: string[], env = {}) => migrateCommand(args, env, () => undefined);
    expect(await run(['--help'])).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await run([])).stderr).toContain('--from');
    expect((await run(['--from', 'legacy'])).stderr).toContain('MONGODB_URI is not set');
    expect(await run(['--nonsense'])).toMatchObject({ exitCode: 2 });
    const env = { MONGODB_URI: 'mongodb://ann:pa55word@127.0.0.1:1/?serverSelectionTimeoutMS=100' };
    const refused = await run(['--from', 'legacy'], env);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).not.toContain('pa55word');
  });
});

for (const choice of await chooseMongoServers()) {
  describe.skipIf(choice.missing !== undefined)(`A few documents on ${choice.kind}`, () => {
    let server: RunningMongo;
    let client: MongoClient;
    const database = `chat-legacy-${new ObjectId().toHexString().slice(-6)}`;
    const [ann, bob] = [new ObjectId(), new ObjectId()];
    beforeAll(async () => {
      server = await choice.start();
      client = await new MongoClient(server.uri).connect();
      const sent = Array.from({ length: 1100 }, (_, n) => ({
        SenderId: ann,
        ReceiverId: bob,
        Message: `text ${n}`,
        Timestamp: new Date(T0 + n),
        IsRead: n === 1098,
      }));
      await client.db(database).collection('ChatMessages').insertMany(sent);
    });
    afterAll(async () => {
      await client.db(database).dropDatabase();
      await client.close();
      await server[Symbol.asyncDispose]();
    });

    test('are read from a server that sorts them for longer than a request of the store may take', async () => {
      await using proxy = await TcpProxy.open(Number(new URL(server.uri).port));
      const uri = new URL(server.uri);
      uri.port = `${proxy.port}`;
      const options = { uri: uri.href, database, dryRun: true, socketTimeoutMs: 200, onProgress: () => undefined };
      proxy.delayMs = 300;
      expect(await migrateLegacy(options)).toMatchObject({ read: 1100, taken: 1100 });
    });

    test('of which only one behind a thousand others says that it was read: all before it were', async () => {
      const env = { MONGODB_URI: server.uri, MONGODB_DATABASE: database };
      expect(await migrateCommand(['--from', 'legacy'], env, () => undefined)).toMatchObject({ exitCode: 0 });
      await using store = await openMongoStore({ uri: server.uri, database });
      const view = await store.messages.findConversation(bob.toHexString(), ann.toHexString());
      expect(view).toMatchObject({ own: { read: 1099, delivered: 1099, received: 1100 }, unreadCount: 1 });
    });
  });

  // FerretDB answers every query by a scan: with a large dump it would take hours, so it gets a small one.
  const total = choice.kind === 'FerretDB' ? 400 : 100_000;
  const pairs = choice.kind === 'FerretDB' ? 4 : 500;
  describe.skipIf(choice.missing !== undefined)(`A dump of ${total} documents on ${choice.kind}`, () => {
    let server: RunningMongo;
    let client: MongoClient;
    const users = Array.from({ length: pairs * 2 }, () => new ObjectId());
    const database = `chat-legacy-${new ObjectId().toHexString().slice(-6)}`;
    const user = (index: number): ObjectId => users[index % users.length] as ObjectId;

    beforeAll(async () => {
      server = await choice.start();
      client = await new MongoClient(server.uri).connect();
      const messages = client.db(database).collection('ChatMessages');
      const batch: object[] = [];
      for (let n = 0; n < total; n += 1) {
        const pair = n % pairs;
        const round = Math.floor(n / pairs);
        const [from, to] =
          round % 2 === 0 ? [user(2 * pair), user(2 * pair + 1)] : [user(2 * pair + 1), user(2 * pair)];
        const isRead = round < 10;
        batch.push({
          SenderId: n % 3 === 0 ? from.toHexString() : from,
          ReceiverId: to,
          Message: `text ${round}`,
          Status: n % 7 === 0 ? null : isRead ? 'read' : 'sent',
          // Not in the order of the ids.
          Timestamp: new Date(T0 + 1000 * (round ^ 1)),
          IsDeleted: round === 5,
          IsRead: isRead,
          ReadAt: isRead ? new Date(T0 + 1000 * (round ^ 1) + 500) : null,
        });
      }
      for (let n = 0; n < batch.length; n += 5000) await messages.insertMany(batch.slice(n, n + 5000));
      await messages.insertMany([
        { SenderId: null, ReceiverId: user(0), Message: 'x', Timestamp: new Date(T0) },
        { SenderId: user(1), ReceiverId: user(0), Message: 'x' },
      ]);
      await client
        .db(database)
        .collection('AppUsers')
        .insertMany([
          { AppUserId: user(0), FirstName: 'Ann', LastName: 'Lee', Role: 'Client', Email: 'ann@example.org' },
          { AppUserId: user(1), FirstName: 'Bob', IsDeleted: true },
        ]);
    }, 120_000);
    afterAll(async () => {
      await client.db(database).dropDatabase();
      await client.close();
      await server[Symbol.asyncDispose]();
    });

    const environment = () => ({ MONGODB_URI: server.uri, MONGODB_DATABASE: database });

    /** Runs the command in a process of its own and kills it once it has passed the given number of messages. */
    async function killedAfter(count: number): Promise<number> {
      const child = spawn(process.execPath, [join(root, 'bin', 'migrate.mjs'), '--from', 'legacy'], {
        env: { ...process.env, ...environment() },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let done = 0;
      child.stderr.on('data', (chunk: Buffer) => {
        done = Math.max(done, ...[...chunk.toString().matchAll(/ (\d+) of/g)].map((match) => Number(match[1])));
        if (done >= count) child.kill('SIGKILL');
      });
      await new Promise((resolve) => child.once('exit', resolve));
      return done;
    }

    test('writes nothing in a dry run', { timeout: 120_000 }, async () => {
      const result = await migrateCommand(['--from', 'legacy', '--dry-run'], environment(), () => undefined);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(result.stdout).toContain(
        `${total + 2} messages read, ${total} would be taken over, 1 users would be taken over.`,
      );
      const names = (await client.db(database).listCollections().toArray()).map(({ name }) => name);
      expect(names.toSorted()).toEqual(['AppUsers', 'ChatMessages']);
    });

    test('killed half-way and run again, is in the store once and in order', { timeout: 300_000 }, async () => {
      if (total > 1000) expect(await killedAfter(total / 2)).toBeLessThan(total);
      const result = await migrateCommand(['--from', 'legacy'], environment(), () => undefined);
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      expect(result.stdout).toContain(`${total + 2} messages read, ${total} taken over, 1 users taken over.`);
      expect(result.stdout).toContain('1 skipped, because it has no usable sender');
      expect(result.stdout).toContain('1 skipped, because it has no time');
      expect(await client.db(database).collection('messages').countDocuments()).toBe(total);
      expect(await client.db(database).collection('client_ids').countDocuments()).toBe(0);

      await using store = await openMongoStore({ uri: server.uri, database });
      const rounds = total / pairs;
      for (const pair of [0, 1, pairs - 1]) {
        const [low, high] = [user(2 * pair).toHexString(), user(2 * pair + 1).toHexString()];
        const listed = await store.messages.listMessages(low, high, { afterSeq: 0, limit: 1000 });
        expect(listed.map(({ seq }) => seq)).toEqual(Array.from({ length: rounds }, (_, index) => index + 1));
        expect(listed.map(({ sentAtMs }) => (sentAtMs - T0) / 1000)).toEqual(listed.map((_, index) => index));
        for (const [index, message] of listed.entries()) {
          const round = index ^ 1;
          expect(message.text).toBe(round === 5 ? '' : `text ${round}`);
          expect(message.deletedAtMs !== undefined).toBe(round === 5);
          expect(message.status).toBe(round < 10 ? 'read' : 'sent');
          expect(message.readAtMs).toBe(round < 10 ? message.sentAtMs + 500 : undefined);
        }
        const view = await store.messages.findConversation(low, high);
        expect(view?.unreadCount).toBe((rounds - 10) / 2);
        expect(await store.messages.listPending(high, { above: 'received', limit: 10 })).toEqual([]);
      }
      expect((await store.users.find([user(0).toHexString()])).get(user(0).toHexString())).toMatchObject({
        name: 'Ann Lee',
        role: 'Client',
      });
    });

    test('reads right on the page', { timeout: 120_000 }, async () => {
      await using chat = await startServer(environment());
      const [ann, bob] = [user(0).toHexString(), user(1).toHexString()];
      const rounds = total / pairs;
      await using page = await openPage(chat, ann);
      const path = `/api/chat/history?user1=${ann}&user2=${bob}&skip=0&take=${rounds}`;
      const { body, status } = await page.rest('GET', path);
      expect(status).toBe(200);
      const expected = Array.from({ length: rounds }, (_, index) => {
        const round = index ^ 1;
        const isDeleted = round === 5;
        return {
          // Of each pair of rounds the later was sent first, by the other.
          senderId: round % 2 === 0 ? ann : bob,
          text: isDeleted ? '' : `text ${round}`,
          status: round < 10 ? 'read' : 'sent',
          timestamp: new Date(T0 + 1000 * index).toISOString(),
          isDeleted,
        };
      });
      expect(body).toMatchObject(expected.slice(-Math.min(rounds, 1000)));
      // Nothing old is pushed.
      expect(page.received).toEqual([]);
      const id = await page.send(ann, bob, 'The first new one');
      const after = await page.rest('GET', `/api/chat/history?user1=${ann}&user2=${bob}&skip=0&take=1`);
      expect(after.body).toMatchObject([{ id, text: 'The first new one', status: 'sent' }]);
      await client.db(database).collection('messages');
    });

    test('run once more, changes nothing', { timeout: 120_000 }, async () => {
      const before = await client.db(database).collection('messages').countDocuments();
      const result = await migrateCommand(['--from', 'legacy'], environment(), () => undefined);
      expect(result.stdout).toContain(`${total} taken over, 0 users taken over.`);
      expect(await client.db(database).collection('messages').countDocuments()).toBe(before);
    });
  });
}
