/** The paths of profile a. */
import type { FixtureCase } from './case.ts';
import { type CaseClient, refusal } from './case-client.ts';
import { hubCasesA } from './hub-a.ts';
import { isFirst, type Way } from './way.ts';

const UNCREATABLE =
  "Server returned an error on close: Connection closed with an error. InvalidOperationException: Unable to resolve service for type 'System.Object' while attempting to activate 'FunctionalTests.UncreatableHub'.";
const TEXT = 'Grüße, мир 🚀';
const NOT_UTF8 = [0, 255, 1, 254];

/** What the client's method `Result`, asked for over HTTP, comes to. */
async function clientResult(client: CaseClient, answer: () => unknown): Promise<string> {
  const connection = await client.connect('/testhub');
  connection.on('Result', answer);
  return client.text(`/clientresult/${encodeURIComponent(connection.connectionId ?? '')}`);
}

/** Sends bytes to a raw echo, as text where the protocol is one, and gives what comes back. */
async function echoRaw(client: CaseClient, path: string): Promise<unknown> {
  const { TransferFormat } = client.signalR;
  const isText = client.way.protocol === 'json';
  const connection = client.raw(path);
  const sent = isText ? new TextEncoder().encode(TEXT) : Uint8Array.from(NOT_UTF8);
  const received: number[] = [];
  const whole = new Promise<void>((resolve) => {
    connection.onreceive = (part) => {
      received.push(...(typeof part === 'string' ? new TextEncoder().encode(part) : new Uint8Array(part)));
      if (received.length >= sent.length) resolve();
    };
  });
  await connection.start(isText ? TransferFormat.Text : TransferFormat.Binary);
  await connection.send(isText ? TEXT : sent);
  await whole;
  return isText ? new TextDecoder().decode(Uint8Array.from(received)) : received;
}

const echoed = ({ protocol }: Way): unknown => (protocol === 'json' ? TEXT : NOT_UTF8);

/** No client follows the redirect of a WebSocket, and the stock client's event stream for Node does not know 308. */
function followsRedirects({ runtime, transport }: Way): boolean {
  return transport === 'LongPolling' || (transport === 'ServerSentEvents' && runtime === 'browser');
}

export const casesA: readonly FixtureCase[] = [
  ...hubCasesA,
  {
    row: '/testhub in any letter case',
    expected: 'here',
    run: async (client) => (await client.connect('/TESTHUB')).invoke('Echo', 'here'),
  },
  {
    row: '/testhub-nowebsockets offers no WebSockets',
    expected: ({ transport }: Way) => (transport === 'WebSockets' ? 'refused' : transport),
    async run(client) {
      const connection = client.build('/testhub-nowebsockets');
      if ((await refusal(connection.start())) !== null) return 'refused';
      return connection.invoke('GetActiveTransportName');
    },
  },
  {
    row: '/testhub-nowebsockets lets the client fall back by itself',
    expected: ({ protocol }: Way) => (protocol === 'json' ? 'ServerSentEvents' : 'LongPolling'),
    appliesTo: ({ transport }) => transport === 'WebSockets',
    async run(client) {
      const connection = await client.connect('/testhub-nowebsockets', { anyTransport: true });
      return connection.invoke('GetActiveTransportName');
    },
  },
  {
    row: '/authorizedhub and /generateJwtToken',
    expected: 'let in',
    async run(client) {
      const token = await client.text('/generateJwtToken');
      const connection = await client.connect('/authorizedhub', { accessTokenFactory: () => token });
      return connection.invoke('Echo', 'let in');
    },
  },
  {
    row: '/authorizedhub refuses who has no token',
    expected: true,
    async run(client) {
      return (await refusal(client.connect('/authorizedhub')))?.includes("Status code '401'");
    },
  },
  {
    row: '/authorizedhub takes the token of the query',
    expected: [200, 401],
    appliesTo: isFirst,
    async run({ url }) {
      const token = await fetch(`${url}/generateJwtToken`).then((response) => response.text());
      const negotiate = `${url}/authorizedhub/negotiate?negotiateVersion=1`;
      const answers = await Promise.all(
        [`${negotiate}&access_token=${token}`, `${negotiate}&access_token=${token}x`].map((address) =>
          fetch(address, { method: 'POST' }),
        ),
      );
      return answers.map(({ status }) => status);
    },
  },
  {
    row: '/uncreatable',
    expected: UNCREATABLE,
    async run(client) {
      const connection = client.build('/uncreatable');
      const closed = new Promise<string | null>((resolve) => {
        connection.onclose((error) => resolve(error?.message ?? null));
      });
      // The stock client rejects the start or tells the end, never both.
      return (await refusal(connection.start())) ?? closed;
    },
  },
  { row: '/echo', expected: echoed, run: (client) => echoRaw(client, '/echo') },
  {
    row: '/echo without negotiate',
    expected: ['text', 'Hello', 1000, true],
    appliesTo: isFirst,
    run: ({ url }) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/echo`);
        let answer: unknown[] = [];
        socket.onopen = () => socket.send('Hello');
        socket.onmessage = ({ data }) => {
          answer = [typeof data === 'string' ? 'text' : 'bytes', data];
          socket.close(1000);
        };
        socket.onclose = ({ code, wasClean }) => resolve([...answer, code, wasClean]);
        socket.onerror = () => reject(new Error('The WebSocket failed'));
      }),
  },
  {
    row: '/echoredirect',
    expected: (way: Way) => (followsRedirects(way) ? echoed(way) : 'the client does not follow'),
    async run(client) {
      if (followsRedirects(client.way)) return echoRaw(client, '/echoredirect');
      const refused = await refusal(client.raw('/echoredirect').start(client.signalR.TransferFormat.Text));
      return refused === null ? 'the client follows' : 'the client does not follow';
    },
  },
  {
    row: '/redirect counts',
    expected: 1,
    async run(client) {
      const numbers: number[] = [];
      for (const path of ['/redirect', `/redirect?baseUrl=${encodeURIComponent(client.url)}`]) {
        const connection = await client.connect(path);
        numbers.push(await connection.invoke('GetNumRedirects'));
        await connection.stop();
      }
      return (numbers[1] ?? 0) - (numbers[0] ?? 0);
    },
  },
  {
    row: '/bad-negotiate',
    expected: true,
    async run(client) {
      const message = await refusal(client.connect('/bad-negotiate'));
      return message?.includes("Some response from server: Status code '400'");
    },
  },
  { row: '/clientresult of a number', expected: '42', run: (client) => clientResult(client, () => 42) },
  {
    row: '/clientresult of an error',
    expected: 'Error: from callback',
    run: (client) =>
      clientResult(client, () => {
        throw new Error('from callback');
      }),
  },
  {
    row: '/clientresult of nothing',
    expected: "Client didn't provide a result.",
    run: (client) => clientResult(client, () => undefined),
  },
  {
    row: '/clientresult without a handler',
    expected: "Client didn't provide a result.",
    async run(client) {
      const connection = await client.connect('/testhub');
      return client.text(`/clientresult/${encodeURIComponent(connection.connectionId ?? '')}`);
    },
  },
  {
    row: '/lib/signalr-webworker/signalr.js',
    expected: true,
    appliesTo: isFirst,
    run: async (client) => (await client.text('/lib/signalr-webworker/signalr.js')).includes('HubConnectionBuilder'),
  },
];
