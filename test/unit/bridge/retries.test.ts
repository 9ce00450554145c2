import { describe, expect, test } from 'vitest';
import type { MessageDto } from '../../../src/bridge/dto.ts';
import { Page } from '../../fixtures/page.ts';
import { type PageServer, startPageServer } from '../../fixtures/page-server.ts';

const MESSAGE = { senderId: 'ann', receiverId: 'bob', message: 'ok', timestamp: '2026-01-01T00:00:00.000Z' };

async function sendByRest(server: PageServer, token: string): Promise<string> {
  const response = await fetch(`${server.url}/api/chat/send`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}` },
    body: JSON.stringify(MESSAGE),
  });
  const { messageId } = (await response.json()) as { messageId: string };
  return messageId;
}

async function textsOf(page: Page): Promise<string[]> {
  const history = await page.invoke<MessageDto[]>('GetMessageHistory', 'ann', 'bob');
  return history.map(({ text }) => text);
}

describe('a page that repeats its hub send by REST', () => {
  test('after an answer that is not proven to have arrived makes no second message', async () => {
    // No probe for two minutes: the answer stays unproven.
    await using server = await startPageServer({ hub: { receiptProbeDelayMs: 120_000 } });
    const token = server.token('ann');
    await using page = await Page.open(server.url, token);
    const id = await page.invoke('SendMessage', 'ann', 'bob', 'ok');
    expect(await sendByRest(server, token)).toBe(id);
    expect(await sendByRest(server, token)).toBe(id);
    expect(await textsOf(page)).toStrictEqual(['ok']);
  });

  test('while the first is in flight gets the same message', async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using server = await startPageServer({
      wrapStore: (store) => ({
        ...store,
        write: async (operations) => {
          arrived.resolve();
          await gate.promise;
          return store.write(operations);
        },
      }),
    });
    const token = server.token('ann');
    await using page = await Page.open(server.url, token);
    const first = page.invoke('SendMessage', 'ann', 'bob', 'ok');
    await arrived.promise;
    const repeated = sendByRest(server, token);
    gate.resolve();
    expect(await repeated).toBe(await first);
    expect(await textsOf(page)).toStrictEqual(['ok']);
  });

  test('after the answer is known to have arrived sends a new message', async () => {
    await using server = await startPageServer({ hub: { receiptProbeDelayMs: 1 } });
    const token = server.token('ann');
    await using page = await Page.open(server.url, token);
    const id = await page.invoke('SendMessage', 'ann', 'bob', 'ok');
    await expect.poll(() => server.sends.unanswered).toBe(0);
    expect(await sendByRest(server, token)).not.toBe(id);
    expect(await textsOf(page)).toStrictEqual(['ok', 'ok']);
  });

  test('after the server was started anew makes no second message, whichever of the two was matched before', async () => {
    const hub = { receiptProbeDelayMs: 120_000 };
    await using first = await startPageServer({ hub });
    const page = await Page.open(first.url, first.token('ann'));
    const id = await page.invoke('SendMessage', 'ann', 'bob', 'ok');
    await page.connection.stop();
    await first.stop();
    const second = await startPageServer({ dataDir: first.dataDir, hub });
    expect(await sendByRest(second, second.token('ann'))).toBe(id);
    await second.stop();
    await using third = await startPageServer({ dataDir: first.dataDir, hub });
    expect(await sendByRest(third, third.token('ann'))).toBe(id);
    await using again = await Page.open(third.url, third.token('ann'));
    expect(await textsOf(again)).toStrictEqual(['ok']);
  });
});
