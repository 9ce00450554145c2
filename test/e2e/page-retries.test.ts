/**
 * The page repeats a hub send by REST when its answer is lost or late, and repeats the REST send with the same timestamp.
 * None of it has an id, and none of it may become a second message; what is typed twice on purpose stays two.
 */
import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/time/clock.ts';
import { holdCommits, pendingFor } from './support/evidence.ts';
import type { Page } from './support/page.ts';
import { historyTexts, openPage, restPage, sendByRest } from './support/pages.ts';
import { RestartableServer } from './support/restartable.ts';
import { startServer } from './support/server.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const PATIENCE = { timeout: 20_000, interval: 20 };
const TIMESTAMP = '2026-11-20T10:00:00.000Z';

function message(text: string, timestamp = TIMESTAMP) {
  return { senderId: 'alice', receiverId: 'bob', text, timestamp };
}

/** Sends by the hub without hoping for an answer. */
function sendUnanswered(page: Page, text: string): void {
  page.send('alice', 'bob', text).catch(() => undefined);
}

/** What the receiver has after a sentinel has come: everything there is. */
async function textsOf(bob: Page, sender: Page): Promise<string[]> {
  await sendByRest(sender, message('sentinel', `sentinel ${bob.texts.length}`));
  await bob.until(() => bob.texts.includes('sentinel'));
  return bob.texts.filter((text) => text !== 'sentinel');
}

test('a hub send whose answer was lost and its repetitions by REST are one message', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using bob = await openPage(server, 'bob');
  await using alice = await openPage(proxy, 'alice');
  const rest = await restPage(server, 'alice');
  proxy.swallowAnswers();
  sendUnanswered(alice, 'Did you get it?');
  await bob.until(() => bob.texts.includes('Did you get it?'));
  const id = await sendByRest(rest, message('Did you get it?'));
  expect(bob.received).toEqual([id]);
  for (let time = 0; time < 3; time += 1) expect(await sendByRest(rest, message('Did you get it?'))).toBe(id);
  expect(await textsOf(bob, rest)).toEqual(['Did you get it?']);
  expect(await historyTexts(rest, 'alice', 'bob')).toEqual(['Did you get it?', 'sentinel']);
});

test('a REST send whose answer was lost too is repeated with the same timestamp and stays one message', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using bob = await openPage(server, 'bob');
  const lost = await restPage(proxy, 'alice');
  const rest = await restPage(server, 'alice');
  proxy.swallowAnswers();
  sendByRest(lost, message('Only by REST')).catch(() => undefined);
  await bob.until(() => bob.texts.includes('Only by REST'));
  const again = await Promise.all([1, 2, 3].map(() => sendByRest(rest, message('Only by REST'))));
  expect(again).toEqual([bob.received[0], bob.received[0], bob.received[0]]);
  expect(await textsOf(bob, rest)).toEqual(['Only by REST']);
});

test('a REST send that comes while the hub send is still in flight is the same message', async () => {
  await using server = await startServer();
  await using bob = await openPage(server, 'bob');
  await using alice = await openPage(server, 'alice');
  const rest = await restPage(server, 'alice');
  const held = holdCommits(server.dataDir);
  const late = alice.send('alice', 'bob', 'Slow');
  const repeated = [sendByRest(rest, message('Slow')), sendByRest(rest, message('Slow'))];
  // What needs no commit is answered meanwhile.
  const isAnswered = await Promise.race([late.then(() => true), rest.rest('GET', '/api/health').then(() => false)]);
  expect(isAnswered).toBe(false);
  held[Symbol.dispose]();
  const id = await late;
  expect(await Promise.all(repeated)).toEqual([id, id]);
  expect(await textsOf(bob, rest)).toEqual(['Slow']);
});

test('a hub send that the store refused is told in the page words, and its repetition by REST is the only message', async () => {
  await using server = await startServer({ LOG_LEVEL: 'silent' });
  await using bob = await openPage(server, 'bob');
  await using alice = await openPage(server, 'alice');
  const rest = await restPage(server, 'alice');
  {
    using _held = holdCommits(server.dataDir);
    await expect(alice.send('alice', 'bob', 'Again')).rejects.toThrow(
      "An unexpected error occurred invoking 'SendMessage' on the server. HubException: An error occurred while sending your message",
    );
    expect((await rest.rest('POST', '/api/chat/send', { ...message('Again'), message: 'Again' })).status).toBe(503);
  }
  const id = await sendByRest(rest, message('Again'));
  expect(await sendByRest(rest, message('Again'))).toBe(id);
  expect(await textsOf(bob, rest)).toEqual(['Again']);
});

test('a hub send that was stuck in a frozen connection and arrives after its repetition is that message', async () => {
  let aheadMs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
  await using server = await startServer({}, { clock });
  await using proxy = await TcpProxy.open(server.port);
  await using bob = await openPage(server, 'bob');
  await using alice = await openPage(proxy, 'alice');
  const rest = await restPage(server, 'alice');
  proxy.freeze();
  const stuck = alice.send('alice', 'bob', 'Stuck');
  // The page gives up on an answer after ten seconds.
  aheadMs = 10_000;
  const id = await sendByRest(rest, message('Stuck'));
  proxy.thaw();
  expect(await stuck).toBe(id);
  expect(await textsOf(bob, rest)).toEqual(['Stuck']);
});

test('the same text typed twice on purpose after a good answer stays two messages, by hub and by REST', async () => {
  await using server = await startServer();
  await using bob = await openPage(server, 'bob');
  await using alice = await openPage(server, 'alice');
  const first = await alice.send('alice', 'bob', 'ok');
  const second = await alice.send('alice', 'bob', 'ok');
  expect(second).not.toBe(first);
  // What is proven to have reached alice's page after the answers proves them too.
  await bob.send('bob', 'alice', 'fine');
  await expect.poll(() => pendingFor(server.dataDir, 'alice'), PATIENCE).toBe(0);
  const third = await sendByRest(alice, message('ok'));
  const fourth = await sendByRest(alice, message('ok', '2026-11-20T10:00:01.000Z'));
  expect(new Set([first, second, third, fourth]).size).toBe(4);
  expect(await textsOf(bob, alice)).toEqual(['ok', 'ok', 'ok', 'ok']);
});

test('a lost answer is repeated once: the second of two equal texts is a message of its own', async () => {
  await using server = await startServer();
  await using proxy = await TcpProxy.open(server.port);
  await using bob = await openPage(server, 'bob');
  await using alice = await openPage(proxy, 'alice');
  const rest = await restPage(server, 'alice');
  proxy.swallowAnswers();
  sendUnanswered(alice, 'yes');
  await bob.until(() => bob.texts.length === 1);
  const repeated = await sendByRest(rest, message('yes'));
  const typedAgain = await sendByRest(rest, message('yes', '2026-11-20T10:00:09.000Z'));
  expect(bob.received).toContain(repeated);
  expect(typedAgain).not.toBe(repeated);
  expect(await textsOf(bob, rest)).toEqual(['yes', 'yes']);
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'a lost answer is repeated after a restart by %s, and again after another one: one message',
  async (signal) => {
    await using server = await RestartableServer.start();
    await using proxy = await TcpProxy.open(server.port);
    await using bob = await openPage(server, 'bob', { reconnects: true });
    await using alice = await openPage(proxy, 'alice');
    const rest = await restPage(server, 'alice');
    await alice.send('alice', 'bob', 'before');
    proxy.swallowAnswers();
    sendUnanswered(alice, 'Lost in the crash');
    await bob.until(() => bob.texts.includes('Lost in the crash'));
    await expect.poll(() => pendingFor(server.dataDir, 'bob'), PATIENCE).toBe(0);
    await server.restart(signal);
    const id = await sendByRest(rest, message('Lost in the crash'));
    expect(bob.received).toContain(id);
    expect(await sendByRest(rest, message('Lost in the crash'))).toBe(id);
    await server.restart(signal);
    expect(await sendByRest(rest, message('Lost in the crash'))).toBe(id);
    const typedAgain = await sendByRest(rest, message('Lost in the crash', '2026-11-20T10:30:00.000Z'));
    expect(typedAgain).not.toBe(id);
    const texts = ['before', 'Lost in the crash', 'Lost in the crash'];
    await textsOf(bob, rest);
    // What came in the last seconds before a restart comes again, under the id that the page knows.
    expect(bob.shown).toEqual([...texts, 'sentinel']);
    expect(await historyTexts(rest, 'alice', 'bob')).toEqual([...texts, 'sentinel']);
  },
  60_000,
);
