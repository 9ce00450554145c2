/**
 * The helper methods of the reference's hub. They have nothing to do with chat: any hub that is to be replayed against the
 * transcripts takes them in beside its own methods.
 */

import type { HubClients, HubContext } from '../../src/bridge/signalr/hub/clients.ts';
import { HubException } from '../../src/bridge/signalr/hub/errors.ts';
import { type HubMethod, method, stream } from '../../src/bridge/signalr/hub/hub.ts';
import { param } from '../../src/bridge/signalr/protocol/parameters.ts';

const sampleDto = {
  id: '00000000-0000-0000-0000-000000000001',
  senderId: 'a',
  receiverId: 'b',
  text: 't',
  status: 'sent',
  timestamp: new Date('2024-01-02T03:04:05Z'),
};

/** JavaScript's dates are in UTC and have milliseconds: the other three are text. */
const sampleDates = [
  new Date('2024-01-02T03:04:05Z'),
  new Date('2024-01-02T03:04:05.12Z'),
  '2024-01-02T03:04:05.1234567Z',
  '2024-01-02T03:04:05',
  '2024-01-02T03:04:05+01:00',
];

function throwing<User>(makeError: (text: string | null) => Error): HubMethod<User> {
  return method([], () => {
    throw makeError(null);
  });
}

/** An error that shows as one of the reference's when details are shown. */
function invalidOperation(text: string): Error {
  const error = new Error(text);
  error.name = 'InvalidOperationException';
  return error;
}

async function* count(n: number, delayMs: number): AsyncGenerator<number> {
  for (let i = 0; i < n; i += 1) {
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    yield i;
  }
}

async function* countThenThrow(n: number): AsyncGenerator<number> {
  yield* count(n, 0);
  throw invalidOperation('stream boom');
}

/** Asks a client for its name, by way of `clients`. */
function ask(clients: HubClients | undefined, connectionId: string | null): Promise<string | null> {
  if (clients === undefined) throw new Error('The server has not started');
  return clients.client(connectionId ?? '').invoke('GetName', [], { result: param.string });
}

/** The methods for a hub whose users are of type `User`. `context`: the server's, once it runs. */
export function referenceHelpers<User>(context: () => HubContext | undefined): Record<string, HubMethod<User>> {
  return {
    Echo: method([param.string], (_context, text) => text),
    EchoObject: method([param.json], (_context, value) => value),
    Add: method([param.int, param.int], (_context, a, b) => a + b),
    Delay: method([param.int], async (_context, ms) => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return `waited ${ms}`;
    }),
    ReturnNull: method([], () => null),
    SampleDto: method([], () => sampleDto),
    SampleDates: method([], () => sampleDates),
    Throw: throwing(() => invalidOperation('boom')),
    ThrowHub: throwing(() => new HubException('hub boom')),
    ThrowHubText: method([param.string], (_context, text) => {
      throw new HubException(text ?? '');
    }),
    WhoAmI: method([], (context) => `${context.userId} ${context.connectionId}`),
    Counter: stream([param.int, param.int], (_context, n, delayMs) => count(n, delayMs)),
    CounterThenThrow: stream([param.int], (_context, n) => countThenThrow(n)),
    Sum: method([param.stream(param.int)], async (_context, items) => {
      let sum = 0;
      for await (const item of items) sum += item;
      return sum;
    }),
    AskClient: method([param.string], ({ clients }, connectionId) => ask(clients, connectionId)),
    AskClientViaContext: method([param.string], (_context, connectionId) => ask(context()?.clients, connectionId)),
    AbortMe: method([], (context) => context.connection.close()),
  };
}
