/** The rows of profile b. */
import type { FixtureCase } from './case.ts';
import { type CaseClient, collect, next, refusal } from './case-client.ts';
import { carriesHeaders, isFirst, type Way } from './way.ts';

const HUB = '/default';

async function answerOf(client: CaseClient, method: string, ...args: unknown[]): Promise<unknown> {
  return (await client.connect(HUB)).invoke(method, ...args);
}

/** What comes back of items that go up. */
async function echoed<Item>(client: CaseClient, method: string, items: readonly Item[]): Promise<Item[]> {
  const connection = await client.connect(HUB);
  const upload = new client.signalR.Subject<Item>();
  const back = collect<Item>(connection.stream<Item>(method, upload));
  for (const item of items) upload.next(item);
  upload.complete();
  return back;
}

function hubAt(path: string): FixtureCase {
  return {
    row: path,
    expected: 'Hello World!',
    run: async (client) => (await client.connect(path)).invoke('HelloWorld'),
  };
}

function authorizedHubAt(path: string): FixtureCase {
  return {
    row: `${path} and /generateJwtToken/{name}`,
    expected: ['let in', true],
    async run(client) {
      const token = await client.text('/generateJwtToken/somebody');
      const connection = await client.connect(path, { accessTokenFactory: () => token });
      const refused = await refusal(client.connect(path));
      return [await connection.invoke('Echo', 'let in'), refused?.includes("Status code '401'")];
    },
  };
}

const hubCases: readonly FixtureCase[] = [
  { row: 'HelloWorld', expected: 'Hello World!', run: (client) => answerOf(client, 'HelloWorld') },
  { row: 'Echo', expected: 'grüße 🚀', run: (client) => answerOf(client, 'Echo', 'grüße 🚀') },
  {
    row: 'Stream',
    expected: [0, 1, 2, 3, 4],
    run: async (client) => collect((await client.connect(HUB)).stream('Stream', 5)),
  },
  {
    row: 'StreamException',
    expected:
      "An unexpected error occurred invoking 'StreamException' on the server. InvalidOperationException: Error occurred while streaming.",
    run: async (client) => refusal(collect((await client.connect(HUB)).stream('StreamException'))),
  },
  {
    row: 'StreamBroken',
    expected:
      "The value returned by the streaming method 'StreamBroken' is not a ChannelReader<> or IAsyncEnumerable<>.",
    run: async (client) => refusal(collect((await client.connect(HUB)).stream('StreamBroken'))),
  },
  {
    row: 'CallEcho',
    expected: ['heard'],
    async run(client) {
      const connection = await client.connect(HUB);
      const heard = next(connection, 'Echo');
      await connection.send('CallEcho', 'heard');
      return heard;
    },
  },
  {
    row: 'CallHandlerThatDoesntExist',
    expected: 'still here',
    async run(client) {
      const connection = await client.connect(HUB);
      await connection.invoke('CallHandlerThatDoesntExist');
      return connection.invoke('Echo', 'still here');
    },
  },
  {
    row: 'GetCallerConnectionId',
    expected: true,
    async run(client) {
      const connection = await client.connect(HUB);
      return (await connection.invoke('GetCallerConnectionId')) === connection.connectionId;
    },
  },
  { row: 'StreamEcho', expected: ['a', 'ü', '🚀'], run: (client) => echoed(client, 'StreamEcho', ['a', 'ü', '🚀']) },
  {
    row: 'StreamEchoInt',
    expected: [1, -2, 2_147_483_647],
    run: (client) => echoed(client, 'StreamEchoInt', [1, -2, 2_147_483_647]),
  },
  {
    row: 'StreamIAsyncConsumer',
    expected: ['a', 'b'],
    run: (client) => echoed(client, 'StreamIAsyncConsumer', ['a', 'b']),
  },
  { row: 'GetUserIdentifier of nobody', expected: null, run: (client) => answerOf(client, 'GetUserIdentifier') },
  {
    row: 'GetUserIdentifier',
    expected: 'somebody',
    appliesTo: carriesHeaders,
    async run(client) {
      const connection = await client.connect(HUB, { headers: { 'Super-Insecure-UserName': 'somebody' } });
      return connection.invoke('GetUserIdentifier');
    },
  },
  {
    row: 'GetHeaderValues',
    expected: ['1', null, '3'],
    appliesTo: carriesHeaders,
    async run(client) {
      const connection = await client.connect(HUB, { headers: { 'X-One': '1', 'X-Three': '3' } });
      return connection.invoke('GetHeaderValues', ['X-One', 'X-Two', 'x-three']);
    },
  },
  {
    row: 'GetCookieValue, and the cookie of negotiate',
    expected: ['a value', null],
    async run(client) {
      const connection = await client.connect(HUB);
      const names = ['fromNegotiate', 'noCookie'];
      return Promise.all(names.map((name) => connection.invoke('GetCookieValue', name)));
    },
  },
  {
    row: 'GetIHttpConnectionFeatureProperties',
    expected: [true, true, '127.0.0.1', '127.0.0.1'],
    async run(client) {
      const [local, remote, ...addresses] = (await answerOf(
        client,
        'GetIHttpConnectionFeatureProperties',
      )) as unknown[];
      return [String(local) === new URL(client.url).port, Number(remote) > 0, ...addresses];
    },
  },
  {
    row: 'GetActiveTransportName',
    expected: ({ transport }: Way) => transport,
    run: (client) => answerOf(client, 'GetActiveTransportName'),
  },
  { row: 'GetHttpProtocol', expected: 'HTTP/1.1', run: (client) => answerOf(client, 'GetHttpProtocol') },
  {
    row: 'Abort',
    expected: 'closed without an error',
    async run(client) {
      const connection = await client.connect(HUB);
      const closed = new Promise<string>((resolve) => {
        connection.onclose((error) => resolve(error?.message ?? 'closed without an error'));
      });
      await connection.send('Abort');
      return closed;
    },
  },
];

export const casesB: readonly FixtureCase[] = [
  ...hubCases,
  hubAt('/dynamic'),
  hubAt('/hubT'),
  {
    row: '/default allows stateful reconnect',
    expected: ['here', [0, 1, 2]],
    appliesTo: ({ transport }) => transport === 'WebSockets',
    async run(client) {
      const connection = await client.connect(HUB, { isStateful: true });
      return [await connection.invoke('Echo', 'here'), await collect(connection.stream('Stream', 3))];
    },
  },
  {
    row: 'only /default allows stateful reconnect',
    expected: [true, undefined],
    appliesTo: isFirst,
    run: ({ url }) =>
      Promise.all(
        ['/default', '/dynamic'].map(async (path) => {
          const address = `${url}${path}/negotiate?negotiateVersion=1&useStatefulReconnect=true`;
          const answer = (await (await fetch(address, { method: 'POST' })).json()) as Record<string, unknown>;
          return answer.useStatefulReconnect;
        }),
      ),
  },
  {
    row: '/default-nowebsockets',
    expected: ({ protocol }: Way) => (protocol === 'json' ? 'ServerSentEvents' : 'LongPolling'),
    appliesTo: ({ transport }) => transport === 'WebSockets',
    async run(client) {
      const connection = await client.connect('/default-nowebsockets', { anyTransport: true });
      return connection.invoke('GetActiveTransportName');
    },
  },
  authorizedHubAt('/authorizedhub'),
  authorizedHubAt('/authorizedhub2'),
  {
    row: '/negotiateProtocolVersion12',
    expected: true,
    async run(client) {
      const message = await refusal(client.connect('/negotiateProtocolVersion12'));
      return message?.includes("The client requested version '1', but the server does not support this version.");
    },
  },
  hubAt('/negotiateProtocolVersionNegative'),
  {
    row: '/redirect to /authorizedHub with a token',
    expected: 'let in',
    run: async (client) => (await client.connect('/redirect/anywhere')).invoke('Echo', 'let in'),
  },
];
