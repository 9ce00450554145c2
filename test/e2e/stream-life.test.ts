/** What an event stream does beside messages: typing, presence, tokens that run out, several devices. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GoingAwayReason } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { MessageStatus } from '../../gen/carepro/chat/v1/types_pb.ts';
import { mintToken } from '../../src/auth/mint.ts';
import { okOf } from './support/connect-door.ts';
import { EventFeed, type FeedKind } from './support/event-feed.ts';
import { openPage } from './support/pages.ts';
import { type TransportName, type TypedClient, typedClient } from './support/rpc-clients.ts';
import { reasonOf } from './support/rpc-errors.ts';
import { SECRET, startServer, type TestServer, tokenFor } from './support/server.ts';

/** A token counts for half a minute beyond its expiry, since clocks differ. */
const TOLERANCE_S = 30;

const KINDS: readonly { readonly kind: FeedKind; readonly transport: TransportName }[] = [
  { kind: 'streamEvents', transport: 'connect-node gRPC' },
  { kind: 'subscribe', transport: 'connect-node Connect over HTTP/1.1' },
];

let server: TestServer;
let people = 0;

beforeAll(async () => {
  server = await startServer({ PRESENCE_GRACE_MS: '50' });
});
afterAll(() => server[Symbol.asyncDispose]());

function newPerson(name: string): string {
  people += 1;
  return `${name}-${people}`;
}

async function clientOf(userId: string, transport?: TransportName): Promise<TypedClient> {
  return typedClient(server.url, await tokenFor(userId), transport);
}

/** A token that stops to count in two to three seconds. */
function fadingToken(userId: string): Promise<string> {
  const ttlMs = 60_000;
  return mintToken({
    secret: new TextEncoder().encode(SECRET),
    userId,
    issuer: 'CarePro',
    audience: 'CarePro',
    ttlMs,
    nowMs: Date.now() - ttlMs - TOLERANCE_S * 1000 + 3000,
  });
}

function presences(feed: EventFeed): string[] {
  return feed.events.flatMap(({ event }) =>
    event.case === 'presenceChanged'
      ? event.value.changes.map(({ online, userId }) => `${userId} ${online ? 'on' : 'off'}`)
      : [],
  );
}

function typing(feed: EventFeed): boolean[] {
  return feed.events.flatMap(({ event }) => (event.case === 'typing' ? [event.value.active] : []));
}

describe.each(KINDS)('With $kind', ({ kind, transport }) => {
  it('typing arrives, moves no position and is not repeated', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    using aliceClient = await clientOf(alice);
    using bobClient = await clientOf(bob, transport);
    await using sender = await EventFeed.open(aliceClient.chat, 'streamEvents');
    const receiver = await EventFeed.open(bobClient.chat, kind);
    const { position } = receiver;
    for (const active of [true, false]) {
      okOf(await sender.request({ case: 'typing', value: { receiverId: bob, active } }));
    }
    await receiver.until(() => typing(receiver).length === 2);
    expect(typing(receiver)).toEqual([true, false]);
    expect(receiver.position).toEqual(position);
    await receiver[Symbol.asyncDispose]();
    if (position === undefined) throw new Error('The stream gave no position');
    await using again = await EventFeed.open(bobClient.chat, kind, { position });
    await aliceClient.chat.sendMessage({ receiverId: bob, text: 'typed' });
    await again.until(() => again.texts.includes('typed'));
    expect(typing(again)).toEqual([]);
  });

  it('presence of everybody is told while it changes', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    using bobClient = await clientOf(bob, transport);
    await using feed = await EventFeed.open(bobClient.chat, kind, {}, true);
    const page = await openPage(server, alice);
    await feed.until(() => presences(feed).includes(`${alice} on`));
    await page[Symbol.asyncDispose]();
    await feed.until(() => presences(feed).includes(`${alice} off`));
  });

  it('ends with its token, says why, and lets nobody in with it again', async () => {
    const bob = newPerson('bob');
    using client = typedClient(server.url, await fadingToken(bob), transport);
    await using feed = await EventFeed.open(client.chat, kind);
    const error = await feed.ended;
    expect(feed.goingAway?.reason).toBe(GoingAwayReason.TOKEN_EXPIRED);
    expect(reasonOf(error)).toBe('Unauthenticated TOKEN_EXPIRED');
    await expect(client.chat.getUnreadCounts({}).catch(reasonOf)).resolves.toBe('Unauthenticated TOKEN_EXPIRED');
  });
});

describe('An app', () => {
  it('goes on beyond the end of its token if it brings a fresh one of the same user in time', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    using fading = typedClient(server.url, await fadingToken(bob));
    await using renewed = await EventFeed.open(fading.chat, 'streamEvents');
    await using neglected = await EventFeed.open(fading.chat, 'streamEvents');
    const foreign = await renewed.request({ case: 'refreshToken', value: { token: await tokenFor(alice) } });
    expect(foreign.outcome).toMatchObject({ case: 'error', value: { code: 7 } });
    const garbage = await renewed.request({ case: 'refreshToken', value: { token: 'no token' } });
    expect(garbage.outcome).toMatchObject({ case: 'error', value: { code: 16 } });
    const refreshed = await renewed.request({ case: 'refreshToken', value: { token: await tokenFor(bob) } });
    const response = okOf(refreshed);
    expect(response.case === 'tokenRefreshed' && Number(response.value.lifetime?.seconds)).toBeGreaterThan(3500);

    expect(reasonOf(await neglected.ended)).toBe('Unauthenticated TOKEN_EXPIRED');
    using sender = await clientOf(alice);
    await sender.chat.sendMessage({ receiverId: bob, text: 'after the end of the first token' });
    await renewed.until(() => renewed.texts.length === 1);
    expect(renewed.isOver).toBe(false);
  });

  it('is told how those are whom it chooses to watch, and of no others', async () => {
    const [alice, bob, carol] = [newPerson('alice'), newPerson('bob'), newPerson('carol')];
    using client = await clientOf(bob);
    await using feed = await EventFeed.open(client.chat, 'streamEvents');
    await using first = await openPage(server, alice);
    await expect
      .poll(async () => (await client.chat.getPresence({ userIds: [alice] })).presences[0]?.online)
      .toBe(true);
    okOf(await feed.request({ case: 'watchPresence', value: { userIds: [alice, carol] } }));
    await feed.until(() => presences(feed).length >= 2);
    expect(presences(feed)).toEqual([`${alice} on`, `${carol} off`]);
    okOf(await feed.request({ case: 'watchPresence', value: { userIds: [carol] } }));
    await first[Symbol.asyncDispose]();
    await expect
      .poll(async () => (await client.chat.getPresence({ userIds: [alice] })).presences[0]?.online)
      .toBe(false);
    await using second = await openPage(server, carol);
    await feed.until(() => presences(feed).includes(`${carol} on`));
    expect(presences(feed)).not.toContain(`${alice} off`);
    expect(second.hub.state).toBe('Connected');
  });

  it('shows on each device of a user what another one received, sent and acknowledged', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    using sender = await clientOf(alice);
    using client = await clientOf(bob);
    await using phone = await EventFeed.open(client.chat, 'streamEvents');
    await using laptop = await EventFeed.open(client.chat, 'subscribe');
    await using page = await openPage(server, bob);

    const { message } = await sender.chat.sendMessage({ receiverId: bob, text: 'to all of them' });
    const id = message?.id ?? '';
    await Promise.all([
      phone.until(() => phone.texts.includes('to all of them')),
      laptop.until(() => laptop.texts.includes('to all of them')),
      page.until(() => page.received.includes(id)),
    ]);
    okOf(await phone.request({ case: 'read', value: { upTo: { case: 'messageId', value: id } } }));
    const acknowledged = (feed: EventFeed) =>
      feed.events.some(
        ({ event }) =>
          event.case === 'statusAdvanced' &&
          event.value.status === MessageStatus.READ &&
          event.value.messageIds.includes(id),
      );
    await Promise.all([phone.until(() => acknowledged(phone)), laptop.until(() => acknowledged(laptop))]);

    const value = { receiverId: alice, text: 'from the phone', clientMessageId: 'phone 1' };
    okOf(await phone.request({ case: 'send', value }));
    await laptop.until(() => laptop.texts.includes('from the phone'));
    const own = laptop.events.at(-1)?.event;
    expect(own).toMatchObject({ case: 'messageSent', value: { clientMessageId: 'phone 1' } });
    // The page would show it in whichever chat is open.
    const { message: last } = await sender.chat.sendMessage({ receiverId: bob, text: 'last' });
    await page.until(() => page.received.includes(last?.id ?? ''));
    expect(page.texts).toEqual(['to all of them', 'last']);
  });
});
