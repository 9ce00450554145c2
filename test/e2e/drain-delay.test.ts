/** A server that is asked to stop behind a load balancer that has not noticed yet. */
import { expect, it } from 'vitest';
import { RawHub } from './support/raw-hub.ts';
import { typedClient } from './support/rpc-clients.ts';
import { startServer, tokenFor } from './support/server.ts';

it('says at once that it does not serve, and goes on serving whoever comes until the delay is over', async () => {
  await using server = await startServer({ DRAIN_DELAY_MS: '2000' });
  const token = await tokenFor('alice');
  using before = await RawHub.open(server.url, token);
  const drained = server.app.drain();
  const health = await fetch(`${server.url}/api/health`);
  expect(health.status).toBe(503);
  expect(await health.json()).toEqual({ status: 'unavailable', reasons: ['draining'] });
  using client = typedClient(server.url, token);
  expect((await client.chat.sendMessage({ receiverId: 'bob', text: 'still there?' })).message?.seq).toBe(1);
  using late = await RawHub.open(server.url, token);
  expect(before.records.filter(({ type }) => type === 7)).toEqual([]);
  await drained;
  for (const hub of [before, late]) {
    await hub.closed;
    expect(hub.records.at(-1)).toEqual({ type: 7, allowReconnect: true });
  }
  await expect(fetch(`${server.url}/api/health`)).rejects.toThrow();
});
