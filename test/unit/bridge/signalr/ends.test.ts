/** Whatever way connections end, nothing of them is left: no connection, no id, no timer, no memory of a body. */
import { describe, expect, it } from 'vitest';
import { connected } from './hosted-server.ts';
import { HttpHub, HttpSocket, until } from './http-client.ts';

const COUNT = 20;
const LIMITS = { maximumFrameBytes: 2000, maximumReceiveMessageBytes: 2000, maximumPostedBytes: 2000 };

interface Open {
  /** The client is gone without a word. */
  readonly drop: () => void;
  /** The client says goodbye by a record. */
  readonly sayGoodbye: () => Promise<unknown> | undefined;
  /** Takes what the server has to say until the end. */
  readonly listen: () => Promise<unknown> | undefined;
}

const TRANSPORTS: readonly (readonly [string, (hub: HttpHub) => Promise<Open>])[] = [
  [
    'a WebSocket',
    async (hub) => {
      const client = await connected(hub.port);
      const listen = async (): Promise<void> => {
        await client.see(({ kind }) => kind === 'close-frame');
        client.raw.closeFrame(1000);
      };
      return { drop: () => client.raw.reset(), sayGoodbye: () => void client.record('{"type":7}'), listen };
    },
  ],
  [
    'a stream of events',
    async (hub) => {
      const { path, stream } = await hub.listening();
      const sayGoodbye = (): Promise<unknown> => hub.post(path, '{"type":7}\u001e');
      return { drop: () => void stream.socket.destroy(), sayGoodbye, listen: () => undefined };
    },
  ],
  [
    'a client that polls',
    async (hub) => {
      const { path, polls } = await hub.polling();
      const sayGoodbye = (): Promise<unknown> => hub.post(path, '{"type":7}\u001e');
      const listen = async (): Promise<void> => {
        while ((await hub.poll(polls, path)).status === 200);
      };
      return { drop: () => void polls.socket.destroy(), sayGoodbye, listen };
    },
  ],
];

describe.each(TRANSPORTS)('nothing is left of %s', (_name, open) => {
  async function several(): Promise<{ hub: HttpHub; all: readonly Open[] }> {
    const hub = await new HttpHub().start({ options: LIMITS });
    const all: Open[] = [];
    for (let index = 0; index < COUNT; index += 1) all.push(await open(hub));
    expect(hub.hosted.signalr.connections).toBe(COUNT);
    return { hub, all };
  }

  async function seeAllGone(hub: HttpHub): Promise<void> {
    await hub.seeNothingLeft();
    expect(hub.ended.length).toBe(COUNT);
  }

  it('when the client is gone', async () => {
    const { hub, all } = await several();
    for (const { drop } of all) drop();
    await new Promise((resolve) => setTimeout(resolve, 0));
    await hub.pass(16_000);
    await seeAllGone(hub);
  });

  it('when the client says goodbye', async () => {
    const { hub, all } = await several();
    for (const { listen, sayGoodbye } of all) {
      await sayGoodbye();
      await listen();
    }
    await seeAllGone(hub);
  });

  it('when the hub closes', async () => {
    const { hub, all } = await several();
    for (const connection of hub.connected) connection.close();
    for (const { listen } of all) await listen();
    await seeAllGone(hub);
  });

  it('when the hub closes and the client does not listen', async () => {
    const { hub } = await several();
    for (const connection of hub.connected) connection.close();
    await hub.pass(7_000);
    await seeAllGone(hub);
  });

  it('when the server is closed', async () => {
    const { hub } = await several();
    hub.hosted.signalr.close();
    await until(() => hub.hosted.signalr.connections === 0);
    expect([hub.ended.length, hub.clock.pending]).toEqual([COUNT, 0]);
  });
});

describe('nothing is left', () => {
  it('of ids that nobody came for', async () => {
    const hub = await new HttpHub().start();
    for (let index = 0; index < COUNT; index += 1) await hub.negotiated();
    expect(hub.clock.pending).toBe(1);
    await hub.pass(16_000);
    await hub.seeNothingLeft();
  });

  it('of posts that broke off, were too large, or lost their connection', async () => {
    const hub = await new HttpHub().start({ options: LIMITS });
    hub.countRequests();
    const other = await hub.polling();
    for (let index = 0; index < COUNT; index += 1) {
      const { path } = await hub.polling();
      let closed = 0;
      const bodies = [
        ['x'.repeat(1500), '1600'],
        ['x'.repeat(300), '400'],
      ] as const;
      const sockets = bodies.map(() => new HttpSocket(hub.port));
      for (const [at, [body, length]] of bodies.entries()) {
        let hasCome = false;
        hub.hosted.http.once('request', (request, response) => {
          request.once('data', () => {
            hasCome = true;
          });
          response.once('close', () => {
            closed += 1;
          });
        });
        sockets[at]?.write('POST', path, { body, headers: { 'Content-Length': length } });
        await until(() => hasCome);
      }
      expect((await hub.post(path, 'x'.repeat(2001))).status).toBe(413);
      sockets[0]?.socket.destroy();
      await until(() => closed === 1);
      expect((await hub.ask('DELETE', path)).status).toBe(202);
      await until(() => closed === 2);
    }

    expect((await hub.post(other.path, `${' '.repeat(1000)}`)).status).toBe(200);
    expect((await hub.post(other.path, `${' '.repeat(1000)}`)).status).toBe(200);
  });
});
