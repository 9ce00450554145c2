/** The methods of profile a's TestHub. */
import type { FixtureCase } from './case.ts';
import { begin, type CaseClient, collect, next, refusal } from './case-client.ts';
import { carriesHeaders, isFirst } from './way.ts';

const TEXT = 'Grüße, мир 🚀 \u2028 <b>&\u0000';
const HUB = '/testhub';

/** As `next`, for an event that the call brings about. */
async function eventOf(client: CaseClient, target: string, method: string, ...args: unknown[]): Promise<unknown> {
  const connection = await client.connect(HUB);
  const event = next(connection, target);
  await connection.invoke(method, ...args);
  return event;
}

async function answerOf(client: CaseClient, method: string, ...args: unknown[]): Promise<unknown> {
  return (await client.connect(HUB)).invoke(method, ...args);
}

interface ComplexObject {
  readonly String: string;
  readonly IntArray: number[];
  readonly ByteArray: string | Uint8Array;
  readonly Guid: string;
  readonly DateTime: string | Date;
}

/** What JSON can say of it, and of which kind its bytes and its time were. */
function described({ ByteArray, DateTime, ...rest }: ComplexObject): unknown {
  const bytes = typeof ByteArray === 'string' ? ByteArray : [...ByteArray];
  return { ...rest, ByteArray: bytes, DateTime: DateTime instanceof Date ? DateTime.toISOString() : DateTime };
}

const COMPLEX = {
  String: 'hello world',
  IntArray: [1, 2, 3],
  Guid: '00010203-0405-0607-0706-050403020100',
};
const COMPLEX_JSON = { ...COMPLEX, ByteArray: 'AQID', DateTime: '2000-01-01T00:00:00Z' };
const COMPLEX_BINARY = { ...COMPLEX, ByteArray: [1, 2, 3], DateTime: '2000-01-01T00:00:00.000Z' };

export const hubCasesA: readonly FixtureCase[] = [
  { row: 'Echo', expected: TEXT, run: (client) => answerOf(client, 'Echo', TEXT) },
  { row: 'Echo of null', expected: null, run: (client) => answerOf(client, 'Echo', null) },
  {
    row: 'Echo of 30,000 characters',
    expected: 'x'.repeat(30_000),
    run: (client) => answerOf(client, 'Echo', 'x'.repeat(30_000)),
  },
  {
    row: 'GetCallerConnectionId',
    expected: true,
    async run(client) {
      const connection = await client.connect(HUB);
      return (await connection.invoke('GetCallerConnectionId')) === connection.connectionId;
    },
  },
  { row: 'GetNumRedirects without a redirect', expected: 0, run: (client) => answerOf(client, 'GetNumRedirects') },
  {
    row: 'ThrowException',
    expected:
      "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: An error occurred.",
    run: (client) => refusal(answerOf(client, 'ThrowException', 'An error occurred.')),
  },
  { row: 'InvokeWithString', expected: [TEXT], run: (client) => eventOf(client, 'Message', 'InvokeWithString', TEXT) },
  {
    row: 'SendCustomObject',
    expected: [{ Name: 'test', Value: 42 }],
    run: (client) => eventOf(client, 'CustomObject', 'SendCustomObject', { Name: 'test', Value: 42 }),
  },
  {
    row: 'Stream',
    expected: ['a', 'b', 'c'],
    run: async (client) => collect((await client.connect(HUB)).stream('Stream')),
  },
  {
    row: 'EmptyStream',
    expected: [],
    run: async (client) => collect((await client.connect(HUB)).stream('EmptyStream')),
  },
  {
    row: 'InfiniteStream',
    expected: { canceled: [], items: [] },
    async run(client) {
      const connection = await client.connect(HUB);
      const canceled = next(connection, 'StreamCanceled');
      const items: unknown[] = [];
      const subscription = begin(connection.stream('InfiniteStream'), (item) => items.push(item));
      await connection.invoke('Echo', 'the stream has begun');
      subscription.dispose();
      return { canceled: await canceled, items };
    },
  },
  {
    row: 'StreamThrowException',
    expected:
      "An unexpected error occurred invoking 'StreamThrowException' on the server. InvalidOperationException: An error occurred.",
    run: async (client) =>
      refusal(collect((await client.connect(HUB)).stream('StreamThrowException', 'An error occurred.'))),
  },
  {
    row: 'StreamingConcat',
    expected: 'Hello, мир 🚀',
    async run(client) {
      const connection = await client.connect(HUB);
      const parts = new client.signalR.Subject<string>();
      const answer = connection.invoke('StreamingConcat', parts);
      for (const part of ['Hello, ', 'мир', ' 🚀']) parts.next(part);
      parts.complete();
      return answer;
    },
  },
  {
    row: 'GetActiveTransportName',
    expected: ({ transport }: { transport: string }) => transport,
    run: (client) => answerOf(client, 'GetActiveTransportName'),
  },
  {
    row: 'EchoComplexObject',
    expected: ({ protocol }: { protocol: string }) => (protocol === 'json' ? COMPLEX_JSON : COMPLEX_BINARY),
    async run(client) {
      const isJson = client.way.protocol === 'json';
      const object: ComplexObject = isJson
        ? COMPLEX_JSON
        : { ...COMPLEX, ByteArray: Uint8Array.of(1, 2, 3), DateTime: new Date('2000-01-01T00:00:00Z') };
      return described((await answerOf(client, 'EchoComplexObject', object)) as ComplexObject);
    },
  },
  {
    row: 'SendComplexObject',
    expected: ({ protocol }: { protocol: string }) => (protocol === 'json' ? COMPLEX_JSON : COMPLEX_BINARY),
    run: async (client) => described((await answerOf(client, 'SendComplexObject')) as ComplexObject),
  },
  {
    row: 'GetHeader',
    expected: ['a value', null],
    appliesTo: carriesHeaders,
    async run(client) {
      const connection = await client.connect(HUB, { headers: { 'X-Fixture': 'a value' } });
      return [await connection.invoke('GetHeader', 'x-fixture'), await connection.invoke('GetHeader', 'X-None')];
    },
  },
  { row: 'GetContentTypeHeader', expected: null, run: (client) => answerOf(client, 'GetContentTypeHeader') },
  {
    row: 'GetContentTypeHeader of a client that sends one',
    expected: 'application/fixture',
    appliesTo: carriesHeaders,
    async run(client) {
      const connection = await client.connect(HUB, { headers: { 'Content-Type': 'application/fixture' } });
      return connection.invoke('GetContentTypeHeader');
    },
  },
  {
    row: 'GetCookie, and the cookies of negotiate',
    expected: ['testValue', 'testValue2', null, null],
    async run(client) {
      const connection = await client.connect(HUB);
      const names = ['testCookie', 'testCookie2', 'expiredCookie', 'noCookie'];
      return Promise.all(names.map((name) => connection.invoke('GetCookie', name)));
    },
  },
  {
    row: 'a method that does not exist',
    expected: "Failed to invoke 'Missing' due to an error on the server. HubException: Method does not exist.",
    appliesTo: isFirst,
    run: (client) => refusal(answerOf(client, 'Missing')),
  },
];
