/** What is bounded before a connection begins, and what is left when it has ended: nothing. */
import { describe, expect, it } from 'vitest';
import { invoke, polled, serve, until } from './checklist/serve.ts';
import { Client } from './hosted-server.ts';

describe('A negotiation', () => {
  it('is refused to an address of which too many wait', async () => {
    const { ask } = await serve({ options: { maximumNegotiationsPerAddress: 2 } });
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await ask('POST', '/hub/negotiate?negotiateVersion=1')).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe('A connection that ends', () => {
  it('leaves nothing: no connection, no timer, whatever its transport and the way it ended', async () => {
    const served = await serve();
    for (let round = 0; round < 5; round += 1) {
      const { path, begun } = await polled(served);
      const { answer } = await begun();
      if (round % 2 === 0) {
        await served.ask('DELETE', path);
        await answer;
      } else {
        served.connections.at(-1)?.close();
        await answer;
        await served.ask('GET', path);
      }
      const { connectionToken } = await served.negotiate();
      const stream = new Client(served.port);
      stream.raw.request('GET', `/hub?id=${connectionToken}&access_token=alice`, [
        ['Host', 'x'],
        ['Accept', 'text/event-stream'],
      ]);
      await stream.seeStatus();
      stream.raw.destroy();
      const socket = await served.open();
      expect(await invoke(socket, '1', 'Nothing')).toEqual({ result: null });
      socket.raw.destroy();
    }
    await until(() => served.signalr.connections === 0);
    await served.clock.advance(120_000);
    expect(served.clock.pending).toBe(0);
  });
});
