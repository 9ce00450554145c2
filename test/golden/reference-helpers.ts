/**
 * The helper methods of the reference's hub. They have nothing to do with chat: any hub that is to be replayed against the
 * transcripts takes them in beside its own methods.
 */
import { HubException } from '../../src/bridge/signalr/hub/errors.ts';
import { type HubMethod, method } from '../../src/bridge/signalr/hub/hub.ts';
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

/** The methods for a hub whose users are of type `User`. */
export function referenceHelpers<User>(): Record<string, HubMethod<User>> {
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
    Throw: throwing(() => new Error('boom')),
    ThrowHub: throwing(() => new HubException('hub boom')),
    ThrowHubText: method([param.string], (_context, text) => {
      throw new HubException(text ?? '');
    }),
    WhoAmI: method([], (context) => `${context.userId} ${context.connectionId}`),
    AbortMe: method([], (context) => context.connection.close()),
  };
}
