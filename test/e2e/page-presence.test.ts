/**
 * Who is online, as pages are told it. That something is not told is shown by what is told later: the end of another
 * user, who left afterwards and has the same grace.
 */
import { expect, test } from 'vitest';
import type { Page } from './support/page.ts';
import { openPage } from './support/pages.ts';
import { startServer } from './support/server.ts';

const GRACE_MS = 1500;

function statusesOf(watcher: Page, userId: string): unknown[] {
  return watcher
    .all('UserStatusChanged')
    .filter((args) => args[0] === userId)
    .map((args) => args[1]);
}

/** A user comes and goes; resolves when the watcher was told, so that every grace that began before has passed. */
async function letGracePass(server: { url: string }, watcher: Page, marker: string): Promise<void> {
  const page = await openPage(server, marker);
  await watcher.until(() => statusesOf(watcher, marker).includes('Online'));
  await page.hub.stop();
  await watcher.until(() => statusesOf(watcher, marker).includes('Offline'));
}

test('both tabs of a user get everything, closing one says nothing, closing the last says Offline once', async () => {
  await using server = await startServer({ PRESENCE_GRACE_MS: String(GRACE_MS) });
  await using alice = await openPage(server, 'alice');
  const first = await openPage(server, 'bob');
  const second = await openPage(server, 'bob', { skipNegotiation: false });
  await alice.until(() => statusesOf(alice, 'bob').length > 0);
  const id = await alice.send('alice', 'bob', 'to both');
  for (const tab of [first, second]) {
    await tab.until(() => tab.received.includes(id));
    expect(tab.received).toEqual([id]);
  }
  await first.hub.stop();
  await letGracePass(server, alice, 'marker-1');
  expect(statusesOf(alice, 'bob')).toEqual(['Online']);
  expect(await alice.hub.invoke('IsUserOnline', 'bob')).toBe(true);
  const toSecond = await alice.send('alice', 'bob', 'to the one that is left');
  await second.until(() => second.received.includes(toSecond));
  await second.hub.stop();
  await alice.until(() => statusesOf(alice, 'bob').includes('Offline'));
  await letGracePass(server, alice, 'marker-2');
  expect(statusesOf(alice, 'bob')).toEqual(['Online', 'Offline']);
  expect(await alice.hub.invoke('GetOnlineStatus', 'bob')).toBe(false);
  expect(await alice.hub.invoke('GetOnlineUsers')).toEqual(['alice']);
});

test('reloading a page within the grace is no event', async () => {
  await using server = await startServer({ PRESENCE_GRACE_MS: String(GRACE_MS) });
  await using alice = await openPage(server, 'alice');
  const before = await openPage(server, 'bob');
  await alice.until(() => statusesOf(alice, 'bob').length > 0);
  await before.hub.stop();
  await using _after = await openPage(server, 'bob');
  await letGracePass(server, alice, 'marker');
  expect(statusesOf(alice, 'bob')).toEqual(['Online']);
  expect(await alice.hub.invoke('GetOnlineUsers')).toEqual(['alice', 'bob']);
});
