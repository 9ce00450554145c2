/** What a page is replayed when it comes back depends on what its transport can prove. Nothing is ever missing. */
import { expect, test } from 'vitest';
import { pendingFor } from './support/evidence.ts';
import type { PageWay } from './support/page.ts';
import { openPage } from './support/pages.ts';
import { startServer } from './support/server.ts';

const PATIENCE = { timeout: 15_000, interval: 20 };
const TEXTS = ['one', 'two', 'three'];

const negotiated = (transport: PageWay['transport']) =>
  ({ skipNegotiation: false, way: { transport, protocol: 'json' } }) as const;

test('a page on long polling is not replayed what its polls have proven', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  const before = await openPage(server, 'bob', negotiated('LongPolling'));
  for (const text of TEXTS) await alice.send('alice', 'bob', text);
  await before.until(() => before.received.length === 3);
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  await before.hub.stop();

  await using after = await openPage(server, 'bob', negotiated('LongPolling'));
  await alice.send('alice', 'bob', 'sentinel');
  await after.until(() => after.texts.includes('sentinel'));
  expect(before.texts).toEqual(TEXTS);
  expect(after.texts).toEqual(['sentinel']);
});

test('a page on server-sent events is replayed what nothing proves, in order', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  const before = await openPage(server, 'bob', negotiated('ServerSentEvents'));
  for (const text of TEXTS) await alice.send('alice', 'bob', text);
  await before.until(() => before.received.length === 3);
  await before.hub.stop();

  await using after = await openPage(server, 'bob', negotiated('ServerSentEvents'));
  await alice.send('alice', 'bob', 'sentinel');
  await after.until(() => after.texts.includes('sentinel'));
  expect(before.texts).toEqual(TEXTS);
  expect(after.texts).toEqual([...TEXTS, 'sentinel']);
});
