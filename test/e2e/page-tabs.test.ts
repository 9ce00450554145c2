/**
 * A person with several tabs. What the store knows of receipt is one mark per person, so a tab that was cut off must get
 * what its siblings had meanwhile; a tab that left by itself, as a reload does, is repeated nothing.
 *
 * `shown` is what the page shows: it drops a message whose id it has shown already. Where nothing may be repeated, the
 * tests look at `texts`.
 */
import { expect, test } from 'vitest';
import { pendingFor } from './support/evidence.ts';
import type { Page } from './support/page.ts';
import { openPage, restPage, sendByRest } from './support/pages.ts';
import { RawHub } from './support/raw-hub.ts';
import { RestartableServer } from './support/restartable.ts';
import { startServer, type TestServer, tokenFor } from './support/server.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const PATIENCE = { timeout: 15_000, interval: 20 };
const MISSED = Array.from({ length: 30 }, (_, n) => `missed ${n + 1}`);

/** Sends to bob, waits until his tab `sibling` has it all and the store knows that a device of his does. */
async function sendAndProve(server: TestServer, alice: Page, sibling: Page, texts: readonly string[]): Promise<void> {
  for (const text of texts) await alice.send('alice', 'bob', text);
  await sibling.until(() => texts.every((text) => sibling.texts.includes(text)));
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
}

/** Sends something last; when it has come, everything before it has. */
async function sentinel(alice: Page, ...tabs: readonly Page[]): Promise<void> {
  await alice.send('alice', 'bob', 'sentinel');
  await Promise.all(tabs.map((tab) => tab.until(() => tab.texts.includes('sentinel'))));
}

test('a tab that was cut gets what reached its sibling meanwhile, in order', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using a = await openPage(server, 'bob');
  await using b = await openPage(proxy, 'bob', { reconnects: true });
  await sendAndProve(server, alice, a, ['seen']);
  await b.until(() => b.texts.includes('seen'));
  proxy.accepting = false;
  proxy.cut();
  await expect.poll(() => b.hub.state, PATIENCE).toBe('Reconnecting');
  await sendAndProve(server, alice, a, MISSED);
  proxy.accepting = true;
  await b.until(() => b.texts.includes('missed 30'));
  await sentinel(alice, a, b);
  expect(b.shown).toEqual(['seen', ...MISSED, 'sentinel']);
  expect(a.texts).toEqual(['seen', ...MISSED, 'sentinel']);
});

test('a tab that is cut again and again misses nothing', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using a = await openPage(server, 'bob');
  await using b = await openPage(proxy, 'bob', { reconnects: true });
  const all: string[] = [];
  for (let round = 1; round <= 5; round += 1) {
    proxy.accepting = round % 2 === 0;
    proxy.cut();
    const texts = MISSED.slice(0, 5).map((text) => `${text} in round ${round}`);
    all.push(...texts);
    await sendAndProve(server, alice, a, texts);
  }
  proxy.accepting = true;
  await sentinel(alice, a, b);
  expect(b.shown).toEqual([...all, 'sentinel']);
});

test.each(['freeze', 'swallowAnswers'] as const)(
  'a tab whose connection the server still believes in gets on a new one what its sibling had: %s',
  async (trouble) => {
    await using server = await startServer();
    await using proxy = await TcpProxy.open(server.port);
    await using alice = await openPage(server, 'alice');
    await using a = await openPage(server, 'bob');
    await using deaf = await openPage(proxy, 'bob');
    await sendAndProve(server, alice, a, ['seen']);
    await deaf.until(() => deaf.texts.includes('seen'));
    proxy[trouble]();
    await sendAndProve(server, alice, a, MISSED);
    await using b = await openPage(server, 'bob');
    await sentinel(alice, a, b);
    const ofBoth = [...deaf.shown, ...b.shown.filter((text) => !deaf.shown.includes(text))];
    expect(ofBoth).toEqual(['seen', ...MISSED, 'sentinel']);
    expect(deaf.texts).toEqual(['seen']);
  },
);

test('a tab that gave up on a silent server has closed in good order, and still is brought what it missed', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  await using a = await openPage(server, 'bob');
  const silenced = await RawHub.open(server.url, await tokenFor('bob'));
  silenced[Symbol.dispose]();
  await silenced.closed;
  await sendAndProve(server, alice, a, MISSED);
  await using b = await openPage(server, 'bob');
  await sentinel(alice, b);
  expect(b.shown).toEqual([...MISSED, 'sentinel']);
});

test.each(['a Close record', 'a close frame with a code'])(
  'a reload of one of two tabs, which says goodbye with %s, repeats nothing',
  async (goodbye) => {
    await using server = await startServer();
    await using alice = await openPage(server, 'alice');
    await using a = await openPage(server, 'bob');
    if (goodbye === 'a Close record') {
      await using before = await openPage(server, 'bob');
      await sendAndProve(server, alice, a, ['one', 'two']);
      await before.until(() => before.texts.length === 2);
    } else {
      using before = await RawHub.open(server.url, await tokenFor('bob'));
      await sendAndProve(server, alice, a, ['one', 'two']);
      await expect.poll(() => before.records.filter(({ target }) => target === 'ReceiveMessage').length).toBe(2);
      before.leave();
      await before.closed;
    }
    // What is shown while a page loads is in the history that it reads.
    await sendAndProve(server, alice, a, ['while it loads']);
    await using after = await openPage(server, 'bob');
    await sentinel(alice, a, after);
    expect(after.texts).toEqual(['sentinel']);
    expect(a.texts).toEqual(['one', 'two', 'while it loads', 'sentinel']);
  },
);

test('one tab alone that reloads is repeated nothing', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  const before = await openPage(server, 'bob');
  await sendAndProve(server, alice, before, ['one', 'two']);
  await before.hub.stop();
  await using after = await openPage(server, 'bob');
  await sentinel(alice, after);
  expect(after.texts).toEqual(['sentinel']);
});

test('one tab alone that is cut gets what it missed, and nothing twice', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(proxy, 'bob', { reconnects: true });
  await sendAndProve(server, alice, bob, ['one', 'two']);
  proxy.accepting = false;
  proxy.cut();
  await expect.poll(() => bob.hub.state, PATIENCE).toBe('Reconnecting');
  for (const text of MISSED) await alice.send('alice', 'bob', text);
  proxy.accepting = true;
  await bob.until(() => bob.texts.includes('missed 30'));
  await sentinel(alice, bob);
  expect(bob.texts).toEqual(['one', 'two', ...MISSED, 'sentinel']);
});

test('a fresh tab that opens soon after a sibling was cut may be repeated the time since, and no more', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using a = await openPage(server, 'bob');
  await using cut = await openPage(proxy, 'bob');
  await sendAndProve(server, alice, a, ['long ago']);
  await cut.until(() => cut.texts.includes('long ago'));
  // The margin of a second before the loss must not reach it, whatever is proven.
  const sentAtMs = Date.now();
  await expect.poll(() => Date.now() - sentAtMs, PATIENCE).toBeGreaterThan(2000);
  proxy.cut();
  await sendAndProve(server, alice, a, MISSED);
  // It might be the tab that was cut, for connections have no names. A fresh page has these messages from the history, and
  // drops by their ids what comes again.
  await using fresh = await openPage(server, 'bob');
  await sentinel(alice, a, fresh);
  expect(fresh.texts).toEqual([...MISSED, 'sentinel']);
  expect(a.texts).toEqual(['long ago', ...MISSED, 'sentinel']);
});

test('after a restart the tab that comes later gets what its sibling had by then', async () => {
  await using server = await RestartableServer.start();
  await using proxy = await TcpProxy.open(server.port);
  const alice = await restPage(server, 'alice');
  const send = (text: string): Promise<string> =>
    sendByRest(alice, { senderId: 'alice', receiverId: 'bob', text, timestamp: text });
  await using a = await openPage(server, 'bob', { reconnects: true });
  await using b = await openPage(proxy, 'bob', { reconnects: true });
  await send('before');
  await Promise.all([a, b].map((tab) => tab.until(() => tab.texts.includes('before'))));
  proxy.accepting = false;
  await server.stop('SIGKILL');
  await server.start();
  for (const text of MISSED) await send(text);
  await a.until(() => a.texts.includes('missed 30'));
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  proxy.accepting = true;
  await b.until(() => b.texts.includes('missed 30'));
  await send('sentinel');
  await Promise.all([a, b].map((tab) => tab.until(() => tab.texts.includes('sentinel'))));
  for (const tab of [a, b]) expect(tab.shown).toEqual(['before', ...MISSED, 'sentinel']);
}, 60_000);
