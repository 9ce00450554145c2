/** Two people in one conversation whose devices have nothing in common but the server: transports, protocols, doors. */
import { expect, it } from 'vitest';
import type { DoorClient, Heard } from './support/door-client.ts';
import { grpcJsDoor } from './support/grpc-js-door.ts';
import type { PageWay } from './support/page.ts';
import { pageDoor } from './support/page-door.ts';
import { startServer, tokenFor } from './support/server.ts';

const PAIRS: readonly (readonly [PageWay, PageWay])[] = [
  [
    { transport: 'ServerSentEvents', protocol: 'json' },
    { transport: 'LongPolling', protocol: 'messagepack' },
  ],
  [
    { transport: 'WebSockets', protocol: 'messagepack' },
    { transport: 'ServerSentEvents', protocol: 'json' },
  ],
  [
    { transport: 'LongPolling', protocol: 'json' },
    { transport: 'WebSockets', protocol: 'messagepack' },
  ],
];
const named = PAIRS.map(([first, second]) => ({
  first,
  second,
  names: [first, second].map(({ protocol, transport }) => `${transport} with ${protocol}`).join(', '),
}));

async function hears(client: DoorClient, wanted: Partial<Heard>): Promise<void> {
  await expect
    .poll(() => client.heard, { timeout: 10_000, interval: 2 })
    .toContainEqual(expect.objectContaining(wanted));
}

it.each(named)('$names and a gRPC client share one conversation', async ({ first, second }) => {
  await using server = await startServer();
  const open = async (userId: string, door: ReturnType<typeof pageDoor>): Promise<DoorClient> =>
    door.open(server.url, userId, await tokenFor(userId));
  await using alice = await open('alice', pageDoor('first', false, first));
  await using bob = await open('bob', pageDoor('second', false, second));
  await using phone = await open('bob', grpcJsDoor('grpc-js'));

  const hello = await alice.send('bob', 'Guten Morgen 🚀', 'a');
  for (const device of [bob, phone]) await hears(device, { kind: 'message', id: hello, text: 'Guten Morgen 🚀' });
  const answer = await phone.send('alice', 'From the phone', 'b');
  await hears(alice, { kind: 'message', id: answer, text: 'From the phone', from: 'bob' });
  const third = await bob.send('alice', 'From the page', 'c');
  await hears(alice, { kind: 'message', id: third, text: 'From the page', from: 'bob' });

  await bob.markRead(hello);
  await hears(alice, { kind: 'status', id: hello, status: 'read' });
  await alice.markDelivered(answer);
  await alice.markRead(third);
  await hears(phone, { kind: 'status', id: third, status: 'read' });
  await hears(bob, { kind: 'status', id: third, status: 'read' });

  const history = [
    { id: hello, text: 'Guten Morgen 🚀', status: 'read', deleted: false },
    { id: answer, text: 'From the phone', status: 'read', deleted: false },
    { id: third, text: 'From the page', status: 'read', deleted: false },
  ];
  expect(await alice.history('bob')).toEqual(history);
  expect(await bob.history('alice')).toEqual(history);
  expect(await phone.history('alice')).toEqual(history);

  await phone.deleteMessage(answer);
  for (const device of [alice, bob, phone]) await hears(device, { kind: 'deleted', id: answer });
  const messages = (client: DoorClient): string[] =>
    client.heard.flatMap((heard) => (heard.kind === 'message' ? [heard.id] : []));
  expect([messages(alice), messages(bob), messages(phone)]).toEqual([[answer, third], [hello], [hello]]);
});
