/** Who was away gets what was missed: in order, once by message id, and never less. */
import { rm } from 'node:fs/promises';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { EventFeed, type FeedKind } from './support/event-feed.ts';
import { ResumingClient } from './support/resuming-client.ts';
import { type TransportName, type TypedClient, typedClient } from './support/rpc-clients.ts';
import { startServer, temporaryFolder, tokenFor } from './support/server.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const KINDS: readonly { readonly kind: FeedKind; readonly transport: TransportName }[] = [
  { kind: 'streamEvents', transport: 'connect-node gRPC' },
  { kind: 'subscribe', transport: 'connect-node Connect over HTTP/1.1' },
  { kind: 'subscribe', transport: 'connect-web gRPC-Web' },
];

async function clientOf(url: string, userId: string, transport?: TransportName): Promise<TypedClient> {
  return typedClient(url, await tokenFor(userId), transport);
}

/** Sends texts to bob one after the other. @returns their ids. */
async function sendAll({ chat }: TypedClient, texts: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const text of texts) ids.push((await chat.sendMessage({ receiverId: 'bob', text })).message?.id ?? '');
  return ids;
}

function numbered(word: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${word} ${index + 1}`);
}

/** Reads until a stream without a position has brought everything and stands at a place. */
async function caughtUp(feed: EventFeed): Promise<void> {
  await feed.until(() => feed.position !== undefined);
}

describe.each(KINDS)('With $kind through $transport', ({ kind, transport }) => {
  it('a stream goes on exactly after the position that it is given', async () => {
    await using server = await startServer();
    using alice = await clientOf(server.url, 'alice');
    using bob = await clientOf(server.url, 'bob', transport);
    const first = await EventFeed.open(bob.chat, kind);
    await sendAll(alice, ['seen 1', 'seen 2', 'not kept']);
    await first.until(() => first.texts.length === 3);
    const position = first.events.find(({ event }) => event.case === 'messageSent' && event.value.message?.seq === 2);
    await first[Symbol.asyncDispose]();

    const missed = await sendAll(alice, numbered('missed', 7));
    await bob.chat.markRead({ upTo: { case: 'messageId', value: missed[2] ?? '' } });
    await alice.chat.deleteMessage({ messageId: missed[3] ?? '' });
    if (position?.position === undefined) throw new Error('The event has no position');
    await using second = await EventFeed.open(bob.chat, kind, { position: position.position });
    expect(second.ready).toMatchObject({ recovered: true, position: position.position });
    await sendAll(alice, ['live']);
    await second.until(() => second.texts.includes('live'));
    expect(second.texts).toEqual(['not kept', ...numbered('missed', 7), 'live']);
    expect(second.events.map(({ event }) => event.case)).toEqual([
      ...Array.from({ length: 8 }, () => 'messageSent'),
      'statusAdvanced',
      'messageDeleted',
      'messageSent',
    ]);
    expect(second.events.map((event) => event.replayed)).toEqual([...Array.from({ length: 10 }, () => true), false]);
    const offsets = second.events.map((event) => Number(event.position?.offset));
    expect(offsets).toEqual(offsets.map((_, index) => Number(position.position?.offset) + index + 1));
  });

  it('a stream without a position brings everything undelivered, in order, before anything live', async () => {
    await using server = await startServer();
    using alice = await clientOf(server.url, 'alice');
    using carol = await clientOf(server.url, 'carol');
    using bob = await clientOf(server.url, 'bob', transport);
    const [, acknowledged = ''] = await sendAll(alice, ['old 1', 'old 2']);
    await bob.chat.markDelivered({ upTo: { case: 'messageId', value: acknowledged } });
    const texts = numbered('kept', 150);
    for (const [index, text] of texts.entries()) await sendAll(index % 3 === 0 ? carol : alice, [text]);

    await using feed = await EventFeed.open(bob.chat, kind);
    expect(feed.ready.recovered).toBe(false);
    await sendAll(alice, ['live']);
    await feed.until(() => feed.texts.includes('live'));
    expect(feed.texts).toHaveLength(texts.length + 1);
    expect(feed.texts.at(-1)).toBe('live');
    // Each conversation is in order; across conversations time decides, which may be the same millisecond.
    for (const sender of ['alice', 'carol']) {
      const seqs = feed.messages.filter((message) => message.senderId === sender).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.toSorted((one, other) => one - other));
    }
    expect(new Set(feed.texts)).toEqual(new Set([...texts, 'live']));
    const times = feed.messages.map(({ sentAt }) => (sentAt === undefined ? 0 : timestampMs(sentAt)));
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    await caughtUp(feed);
  });

  it('a position of a server that was restarted proves nothing, and nothing is missing', async () => {
    const dataDir = await temporaryFolder();
    try {
      let position: EventFeed['position'];
      {
        await using server = await startServer({ DATA_DIR: dataDir });
        using alice = await clientOf(server.url, 'alice');
        using bob = await clientOf(server.url, 'bob', transport);
        await using feed = await EventFeed.open(bob.chat, kind);
        const [seen = ''] = await sendAll(alice, ['acknowledged', 'seen only']);
        await feed.until(() => feed.texts.length === 2);
        await bob.chat.markDelivered({ upTo: { case: 'messageId', value: seen } });
        ({ position } = feed);
        await feed[Symbol.asyncDispose]();
        await sendAll(alice, ['missed']);
      }
      if (position === undefined) throw new Error('The stream gave no position');
      await using server = await startServer({ DATA_DIR: dataDir });
      using alice = await clientOf(server.url, 'alice');
      using bob = await clientOf(server.url, 'bob', transport);
      await using feed = await EventFeed.open(bob.chat, kind, { position });
      expect(feed.ready).toMatchObject({ recovered: false, position: { epoch: '' } });
      await caughtUp(feed);
      expect(feed.position?.epoch).not.toBe(position.epoch);
      await sendAll(alice, ['live']);
      await feed.until(() => feed.texts.includes('live'));
      expect(feed.texts).toEqual(['seen only', 'missed', 'live']);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  it('a position older than the history proves nothing, and nothing is missing', async () => {
    await using server = await startServer({ EVENT_LOG_MAX_EVENTS: '10' });
    using alice = await clientOf(server.url, 'alice');
    using bob = await clientOf(server.url, 'bob', transport);
    const first = await EventFeed.open(bob.chat, kind);
    const [seen = ''] = await sendAll(alice, ['seen']);
    await first.until(() => first.texts.length === 1);
    await bob.chat.markDelivered({ upTo: { case: 'messageId', value: seen } });
    const { position } = first;
    await first[Symbol.asyncDispose]();
    if (position === undefined) throw new Error('The stream gave no position');

    const texts = numbered('missed', 40);
    await sendAll(alice, texts);
    await using second = await EventFeed.open(bob.chat, kind, { position });
    expect(second.ready.recovered).toBe(false);
    await second.until(() => second.texts.length === texts.length);
    expect(second.texts).toEqual(texts);
    await caughtUp(second);
    await using third = await EventFeed.open(bob.chat, kind, {
      ...(second.position !== undefined && { position: second.position }),
    });
    expect(third.ready.recovered).toBe(true);
    expect(third.texts).toEqual([]);
  });

  it.each([
    { from: 'the store', logEvents: '10' },
    { from: 'the history', logEvents: '10000' },
  ])('a long replay from $from that is cut again and again skips nothing', async ({ from, logEvents }) => {
    await using server = await startServer({ EVENT_LOG_MAX_EVENTS: logEvents });
    await using proxy = await TcpProxy.open(server.port);
    using alice = await clientOf(server.url, 'alice');
    using direct = await clientOf(server.url, 'bob', transport);
    const early = await EventFeed.open(direct.chat, kind);
    const { position } = early;
    await early[Symbol.asyncDispose]();
    if (position === undefined) throw new Error('The stream gave no position');

    // Sends that are under way together may be stored in any order; the history tells which.
    const text = 'x'.repeat(2000);
    await Promise.all(Array.from({ length: 500 }, () => alice.chat.sendMessage({ receiverId: 'bob', text })));
    const ids = await storedIds(alice);
    expect(ids).toHaveLength(500);

    let cuts = 0;
    let sinceCut = 0;
    await using app = new ResumingClient({
      url: proxy.url,
      token: await tokenFor('bob'),
      kind,
      transport,
      position,
      onFrame: () => {
        sinceCut += 1;
        if (sinceCut !== 90 || cuts === 5) return;
        cuts += 1;
        sinceCut = 0;
        proxy.cut();
      },
    });
    await app.until(() => cuts === 2);
    ids.push(...(await sendAll(alice, numbered('while away', 100))));
    await app.until(() => app.ids.length === ids.length && cuts === 5);
    expect(app.ids).toEqual(ids);
    expect(app.feeds.flatMap((feed) => feed.readies.map(({ recovered }) => recovered))).toContain(
      from === 'the history',
    );
  });
});

/** Ids of everything that alice sent to bob, in order. */
async function storedIds({ chat }: TypedClient): Promise<string[]> {
  const ids: string[] = [];
  let afterSeq = 0;
  for (let more = true; more; ) {
    const start = { case: 'afterSeq' as const, value: afterSeq };
    const { hasMore, messages } = await chat.listMessages({ otherUserId: 'bob', pageSize: 200, start });
    ids.push(...messages.map((message) => message.id));
    afterSeq = messages.at(-1)?.seq ?? afterSeq;
    more = hasMore;
  }
  return ids;
}
