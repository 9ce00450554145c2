/** A hub on a real port, and plain requests to it, for the checklist of behaviours. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { onTestFinished } from 'vitest';
import { HubException } from '../../../../../src/bridge/signalr/hub/errors.ts';
import {
  type HubConnection,
  type HubDefinition,
  type HubMethod,
  method,
  stream,
} from '../../../../../src/bridge/signalr/hub/hub.ts';
import type { SignalRServer, SignalRServerOptions } from '../../../../../src/bridge/signalr/hub/server.ts';
import { param } from '../../../../../src/bridge/signalr/protocol/parameters.ts';
import { FakeClock } from '../../../../fixtures/fake-clock.ts';
import { Client, host } from '../hosted-server.ts';
import type { TestUser } from '../memory-connection.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface Negotiated {
  readonly negotiateVersion: number;
  readonly connectionId: string;
  readonly connectionToken: string;
  readonly useStatefulReconnect?: boolean;
  readonly error?: string;
  readonly availableTransports: readonly { readonly transport: string; readonly transferFormats: readonly string[] }[];
}

export const handshake = '{"protocol":"json","version":1}\u001e';

export const methods: Record<string, HubMethod<TestUser>> = {
  Echo: method([param.string], (_context, text) => text),
  Add: method([param.int, param.int], (_context, a, b) => a + b),
  Nothing: method([], () => undefined),
  Throw: method([], () => {
    throw new TypeError('a secret');
  }),
  Refuse: method([], () => {
    throw new HubException('not today');
  }),
  Unserialisable: method([], () => 1n << 80n),
  Count: stream([param.int], function* (_context, count) {
    for (let n = 0; n < count; n += 1) yield n;
  }),
  Sum: method([param.stream(param.int)], async (_context, numbers) => {
    let sum = 0;
    for await (const number of numbers) sum += number;
    return sum;
  }),
};

export interface Served {
  readonly port: number;
  readonly clock: FakeClock;
  readonly signalr: SignalRServer;
  /** How each connection ended, as the hub was told; `undefined` = in good order. */
  readonly ends: (string | undefined)[];
  /** The connections, in the order in which they came. */
  readonly connections: readonly HubConnection<TestUser>[];
  /** A plain request as `user`; `null` = without a token. */
  ask(verb: string, path: string, options?: AskOptions): Promise<Answer>;
  negotiate(query?: string): Promise<Negotiated>;
  /** A WebSocket after its handshake. */
  open(user?: string, version?: number): Promise<Client>;
  /** A WebSocket before its handshake. */
  upgraded(query?: string): Promise<Client>;
}

export interface AskOptions {
  readonly user?: string | null;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Serves a hub at /hub with the time in the test's hand. */
export async function serve(
  definition: Partial<HubDefinition<TestUser>> = {},
  options: Partial<SignalRServerOptions<TestUser>> = {},
): Promise<Served> {
  const clock = new FakeClock();
  const ends: (string | undefined)[] = [];
  const connections: HubConnection<TestUser>[] = [];
  const { port, signalr } = await host(
    {
      methods,
      ...definition,
      options: { keepRequest: true, ...definition.options },
      onConnected: (connection, context) => {
        connections.push(connection);
        return definition.onConnected?.(connection, context);
      },
      onDisconnected: (connection, error, context) => {
        ends.push(error?.failure);
        return definition.onDisconnected?.(connection, error, context);
      },
    },
    { clock, ...options },
  );
  const ask: Served['ask'] = (verb, path, { user = 'alice', body, headers = {} } = {}) => {
    const token = user === null ? '' : `${path.includes('?') ? '&' : '?'}access_token=${user}`;
    // Without an agent each request has a socket of its own.
    const whole = { port, host: '127.0.0.1', agent: false } as const;
    const answered = new Promise<Answer>((resolve, reject) => {
      const sent = request({ ...whole, method: verb, path: `${path}${token}`, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
      onTestFinished(() => void sent.destroy());
    });
    // A poll may be left waiting when its test is over; who awaits it sees how it ended all the same.
    answered.catch(() => undefined);
    return answered;
  };
  const upgraded = async (query = ''): Promise<Client> => {
    const client = new Client(port);
    client.upgrade(`/hub?access_token=alice${query}`);
    await client.seeStatus();
    return client;
  };
  return {
    port,
    clock,
    signalr,
    ends,
    connections,
    ask,
    negotiate: async (query = 'negotiateVersion=1') => JSON.parse((await ask('POST', `/hub/negotiate?${query}`)).body),
    upgraded,
    async open(user = 'alice', version = 1) {
      const client = new Client(port);
      client.upgrade(`/hub?access_token=${user}`);
      await client.seeStatus();
      client.record(`{"protocol":"json","version":${version}}`);
      await client.seeRecord('{}');
      return client;
    },
  };
}

/** The texts of the records that a client has seen. */
export function recordsOf(client: Client): string[] {
  return client.observed.flatMap((observed) => (observed.kind === 'record' ? [observed.text] : []));
}

/** What a client says, and the answer with that id. */
export async function invoke(client: Client, id: string, target: string, ...args: unknown[]): Promise<unknown> {
  client.record(JSON.stringify({ type: 1, invocationId: id, target, arguments: args }));
  return completion(client, id);
}

/** The completion with that id, without its type and id. */
export async function completion(client: Client, id: string): Promise<unknown> {
  const seen = await client.see(
    (observed) => observed.kind === 'record' && observed.text.startsWith(`{"type":3,"invocationId":"${id}"`),
  );
  const { type: _type, invocationId: _id, ...rest } = JSON.parse(seen.kind === 'record' ? seen.text : '{}');
  return rest;
}

/** A connection over long polling after its handshake; each poll is a plain request. */
export async function polled({ ask, connections, negotiate }: Served, user = 'alice') {
  const { connectionToken: id } = await negotiate();
  const path = `/hub?id=${id}`;
  const poll = (): Promise<Answer> => ask('GET', path, { user });
  /** Resolves when the poll is with the server, with its answer to come. */
  const begun = async (): Promise<{ readonly answer: Promise<Answer> }> => {
    const name = randomUUID();
    const answer = ask('GET', `${path}&poll=${name}`, { user });
    while (connections.at(-1)?.request?.query('poll') !== name) await new Promise((resolve) => setImmediate(resolve));
    return { answer };
  };
  const post = (body: string): Promise<Answer> => ask('POST', path, { user, body });
  const first = await poll();
  await post(handshake);
  const accepted = await poll();
  return { path, poll, begun, post, first, accepted };
}

/** Waits for something that happens by itself; the test's time limit ends the wait. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
