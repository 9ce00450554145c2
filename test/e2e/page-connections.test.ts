/**
 * The page's connection under faults. Today's page never acknowledges; it must get what it missed, and nothing twice.
 * A sentinel, sent last, shows that everything before it has come.
 */
import { expect, test } from 'vitest';
import { pendingFor } from './support/evidence.ts';
import { historyTexts, openPage, restPage } from './support/pages.ts';
import { startServer } from './support/server.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const PATIENCE = { timeout: 15_000, interval: 20 };

test('a page that never acknowledges reloads and is replayed nothing twice', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  const before = await openPage(server, 'bob');
  for (const text of ['one', 'two', 'three']) await alice.send('alice', 'bob', text);
  await before.until(() => before.received.length === 3);
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  for (let reload = 1; reload <= 3; reload += 1) {
    await before.hub.stop();
    await using after = await openPage(server, 'bob');
    await alice.send('alice', 'bob', `after reload ${reload}`);
    await after.until(() => after.texts.includes(`after reload ${reload}`));
    expect(after.texts).toEqual([`after reload ${reload}`]);
    await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  }
  // It is evidence that counts here, not a status: nobody has acknowledged anything.
  expect(alice.all('MessageStatusChanged')).toEqual([]);
});

test('a page that was away is replayed what it missed, in order, unless it has read the history', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  for (let n = 1; n <= 250; n += 1) await alice.send('alice', 'bob', `m${n}`);
  {
    await using bob = await openPage(server, 'bob', { skipNegotiation: false });
    await bob.until(() => bob.received.length >= 250);
    expect(bob.texts).toEqual(Array.from({ length: 250 }, (_, n) => `m${n + 1}`));
    await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  }
  await alice.send('alice', 'bob', 'read by REST');
  const reader = await restPage(server, 'bob');
  expect((await historyTexts(reader, 'alice', 'bob')).at(-1)).toBe('read by REST');
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  await using bob = await openPage(server, 'bob');
  await alice.send('alice', 'bob', 'sentinel');
  await bob.until(() => bob.texts.includes('sentinel'));
  expect(bob.texts).toEqual(['sentinel']);
});

test('a history that somebody else reads is no evidence', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  await alice.send('alice', 'bob', 'unseen');
  expect(await historyTexts(alice, 'alice', 'bob')).toEqual(['unseen']);
  await using bob = await openPage(server, 'bob');
  await bob.until(() => bob.texts.length > 0);
  expect(bob.texts).toEqual(['unseen']);
});

test('a connection that is cut comes back by itself and gets exactly what it missed', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(proxy, 'bob', { reconnects: true });
  await alice.send('alice', 'bob', 'seen');
  await bob.until(() => bob.texts.includes('seen'));
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  proxy.accepting = false;
  proxy.cut();
  await expect.poll(() => bob.hub.state, PATIENCE).toBe('Reconnecting');
  const missed = Array.from({ length: 30 }, (_, n) => `missed ${n + 1}`);
  for (const text of missed) await alice.send('alice', 'bob', text);
  proxy.accepting = true;
  await bob.until(() => bob.texts.includes('missed 30'));
  await alice.send('alice', 'bob', 'sentinel');
  await bob.until(() => bob.texts.includes('sentinel'));
  expect(bob.texts).toEqual(['seen', ...missed, 'sentinel']);
});

test('what vanished on a half-open connection is replayed on the next one, and only that', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using deaf = await openPage(proxy, 'bob');
  await alice.send('alice', 'bob', 'heard');
  await deaf.until(() => deaf.texts.includes('heard'));
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  proxy.swallowAnswers();
  const vanished = ['vanished 1', 'vanished 2', 'vanished 3'];
  for (const text of vanished) await alice.send('alice', 'bob', text);
  // The server still believes in the connection; the page comes with a new one.
  await using bob = await openPage(server, 'bob');
  await alice.send('alice', 'bob', 'sentinel');
  await bob.until(() => bob.texts.includes('sentinel'));
  expect(bob.texts).toEqual([...vanished, 'sentinel']);
  expect(deaf.texts).toEqual(['heard']);
});

test('a connection that was frozen and thaws has lost nothing and doubled nothing', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  await using bob = await openPage(proxy, 'bob');
  await alice.send('alice', 'bob', 'before');
  await bob.until(() => bob.texts.includes('before'));
  proxy.freeze();
  const meanwhile = Array.from({ length: 100 }, (_, n) => `meanwhile ${n + 1}`);
  for (const text of meanwhile) await alice.send('alice', 'bob', text);
  const stuck = bob.send('bob', 'alice', 'stuck');
  expect(bob.texts).toEqual(['before']);
  proxy.thaw();
  await bob.until(() => bob.texts.includes('meanwhile 100'));
  const id = await stuck;
  await alice.until(() => alice.received.includes(id));
  await alice.send('alice', 'bob', 'sentinel');
  await bob.until(() => bob.texts.includes('sentinel'));
  expect(bob.texts).toEqual(['before', ...meanwhile, 'sentinel']);
  expect(alice.texts).toEqual(['stuck']);
});

test('what a connection that is frozen for good did not take is replayed on the next one', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using alice = await openPage(server, 'alice');
  const frozen = await openPage(proxy, 'bob');
  await alice.send('alice', 'bob', 'before');
  await frozen.until(() => frozen.texts.includes('before'));
  await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
  proxy.freeze();
  const meanwhile = Array.from({ length: 20 }, (_, n) => `meanwhile ${n + 1}`);
  for (const text of meanwhile) await alice.send('alice', 'bob', text);
  await frozen.hub.stop();
  await using bob = await openPage(server, 'bob');
  await alice.send('alice', 'bob', 'sentinel');
  await bob.until(() => bob.texts.includes('sentinel'));
  expect(bob.texts).toEqual([...meanwhile, 'sentinel']);
  expect(frozen.texts).toEqual(['before']);
});

test('messages that arrive while a page connects come once and in order', async () => {
  await using server = await startServer();
  await using alice = await openPage(server, 'alice');
  const expected: string[] = [];
  for (let n = 1; n <= 50; n += 1) {
    expected.push(`before ${n}`);
    await alice.send('alice', 'bob', `before ${n}`);
  }
  const connecting = openPage(server, 'bob');
  for (let n = 1; n <= 200; n += 1) {
    expected.push(`during ${n}`);
    await alice.send('alice', 'bob', `during ${n}`);
  }
  await using bob = await connecting;
  await bob.until(() => bob.texts.includes('during 200'));
  await alice.send('alice', 'bob', 'sentinel');
  await bob.until(() => bob.texts.includes('sentinel'));
  expect(bob.texts).toEqual([...expected, 'sentinel']);
});
