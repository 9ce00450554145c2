/**
 * What MongoDB answers when it refuses or is in trouble, and the servers of these tests never do: an impostor before one of them puts it
 * into its mouth. Codes: MongoDB manual, "Error Codes".
 */
import type { Document } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../../../src/core/ids.ts';
import type { Appended, AppendOp } from '../../../../src/core/ports.ts';
import { openMongoStore } from '../../../../src/store/mongo/store.ts';
import { type Fault, MongoImpostor } from '../../../servers/mongo-impostor.ts';
import { chooseMongoServers, type RunningMongo } from '../../../servers/mongo-servers.ts';
import { type TemporaryMongoStore, temporaryMongoStore } from './opened.ts';

const PASSWORD = 'pa55word';
const T0 = Date.UTC(2026, 0, 1);

const choice = (await chooseMongoServers()).find(({ kind }) => kind !== 'FerretDB');

/** The server did not do it. */
function refusal(code: number, codeName: string, more: Document = {}): Fault {
  return { instead: { ok: 0, code, codeName, errmsg: `${codeName} of ${PASSWORD}`, ...more } };
}

describe.skipIf(choice?.missing !== undefined)('MongoDB', () => {
  let server: RunningMongo;
  let impostor: MongoImpostor;
  beforeAll(async () => {
    if (choice === undefined) throw new Error('There is no server that speaks the protocol of MongoDB');
    server = await choice.start();
    impostor = await MongoImpostor.open(server.uri);
  });
  afterEach(() => {
    impostor.faultOf = () => undefined;
  });
  afterAll(async () => {
    await impostor[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  describe('at the start', () => {
    const hello = { ok: 1, maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 };
    test.each<[string, string, RegExp, readonly string[], Fault]>([
      [
        'that refuses the credentials',
        `ann:${PASSWORD}@`,
        /refused user or password; check both, and authSource/,
        ['saslStart'],
        refusal(18, 'AuthenticationFailed'),
      ],
      [
        'whose user may not make indexes',
        '',
        /may not do what is needed in database chat; give it the role dbOwner there/,
        ['createIndexes'],
        refusal(13, 'Unauthorized'),
      ],
      [
        'whose user may only read',
        '',
        /may not do what is needed in database chat; give it the role dbOwner there/,
        ['insert', 'update', 'findAndModify', 'delete'],
        refusal(13, 'Unauthorized'),
      ],
      [
        'of version 4.4',
        '',
        /is MongoDB 4\.4\.29; version 5\.0 or later is needed, upgrade it/,
        ['buildInfo', 'buildinfo'],
        { instead: { ok: 1, version: '4.4.29' } },
      ],
      [
        'that the driver finds too old',
        '',
        /is too old; MongoDB 5\.0 or later is needed, upgrade it/,
        ['hello', 'isMaster', 'ismaster'],
        { instead: { ...hello, isWritablePrimary: true, ismaster: true, minWireVersion: 0, maxWireVersion: 6 } },
      ],
      [
        'that is a secondary and gets no writes',
        '',
        /No server of MONGODB_URI can be written to/,
        ['insert', 'update', 'findAndModify', 'createIndexes', 'create'],
        refusal(10_107, 'NotWritablePrimary'),
      ],
    ])('%s is refused, with what to do', async (_, login, text, names, fault) => {
      let met = 0;
      impostor.faultOf = (_command, name) => {
        if (!names.includes(name)) return undefined;
        met += 1;
        return fault;
      };
      const options = { uri: impostor.uri(login), database: 'chat', serverSelectionTimeoutMs: 1000 };
      const error = await openMongoStore(options).then(
        async (store) => {
          await store.close();
          return new Error('It was opened');
        },
        (thrown: Error) => thrown,
      );
      expect(error.message).toMatch(text);
      expect(error.name).toBe('UnusableServerError');
      expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain(PASSWORD);
      expect(met).toBeGreaterThan(0);
    });
  });

  describe('amid sends', () => {
    let opened: TemporaryMongoStore;
    let people = 0;
    beforeAll(async () => {
      opened = await temporaryMongoStore(impostor.uri(), { serverSelectionTimeoutMs: 2000 });
    });
    afterAll(() => opened.close());

    const steppedDown = { errorLabels: ['RetryableWriteError'] };
    const concern = { code: 64, codeName: 'WriteConcernTimeout', errmsg: `waiting for ${PASSWORD}` };
    const written = { ok: 1, n: 0, nModified: 0 };
    const troubles: readonly (readonly [string, Fault])[] = [
      ['is no primary any more', refusal(10_107, 'NotWritablePrimary', steppedDown)],
      ['stepped down in the middle', refusal(189, 'PrimarySteppedDown', steppedDown)],
      ['shuts down', refusal(91, 'ShutdownInProgress', steppedDown)],
      ['has no room on its disk', refusal(14_031, 'OutOfDiskSpace')],
      ['has lost the right to write', refusal(13, 'Unauthorized')],
      [
        'says so of single documents',
        { instead: { ...written, writeErrors: [{ index: 0, code: 14_031, errmsg: PASSWORD }] } },
      ],
      ['wrote, and no majority has it', { added: { writeConcernError: concern } }],
      ['wrote, and shuts down before a majority has it', { added: { writeConcernError: { ...concern, code: 91 } } }],
    ];
    // Every write that a send waits for.
    const commands = ['insert client_ids', 'insert places', 'insert journal', 'insert messages', 'update rows'];
    test.each(commands.flatMap((command) => troubles.map(([trouble, fault]) => [command, trouble, fault] as const)))(
      '%s: the server %s; the send is not acknowledged, and repeated it is stored once',
      async (command, _trouble, fault) => {
        people += 1;
        const [ann, bob] = [`ann-${people}`, `bob-${people}`];
        const send = (text: string): AppendOp => ({
          type: 'append',
          id: newId(Date.now()),
          senderId: ann,
          receiverId: bob,
          text,
          atMs: T0,
          clientMessageId: text,
        });
        await opened.store.messages.write([send('before')]);
        let met = 0;
        impostor.faultOf = (body, name) => {
          if (`${name} ${body[name]}` !== command) return undefined;
          met += 1;
          return fault;
        };
        const error = await opened.store.messages.write([send('amid')]).then(
          ([outcome]) => (outcome?.type === 'failed' ? outcome.error : outcome),
          (thrown: unknown) => thrown,
        );
        expect(error).toMatchObject({ code: 'unavailable', reason: 'STORE_UNAVAILABLE' });
        expect(met).toBeGreaterThan(0);
        expect(String((error as Error).cause)).not.toContain(PASSWORD);
        impostor.faultOf = () => undefined;
        const outcomes = (await opened.store.messages.write([send('amid'), send('after')])) as Appended[];
        expect(outcomes.map(({ type }) => type)).toEqual(['appended', 'appended']);
        const listed = await opened.store.messages.listMessages(bob, ann, { afterSeq: 0, limit: 10 });
        expect(listed.map(({ seq, text }) => [seq, text])).toEqual([
          [1, 'before'],
          [2, 'amid'],
          [3, 'after'],
        ]);
        expect(outcomes.map(({ message }) => message.seq)).toEqual([2, 3]);
        expect(await opened.store.messages.unreadCounts(bob)).toEqual([{ otherId: ann, count: 3 }]);
      },
    );
  });
});
