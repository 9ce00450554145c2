/** A server that is asked to stop: it says so to everybody in the words of their protocol, finishes, and is missed by nobody. */
import { createClient } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { GoingAwayReason } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { EventFeed } from './support/event-feed.ts';
import { halfHttp1Request, halfHttp2Request } from './support/half-request.ts';
import { openPage } from './support/pages.ts';
import { RawHub } from './support/raw-hub.ts';
import { RestartableServer } from './support/restartable.ts';
import { ResumingClient } from './support/resuming-client.ts';
import { typedClient } from './support/rpc-clients.ts';
import { reasonOf } from './support/rpc-errors.ts';
import { tokenFor } from './support/server.ts';

const DRAIN_TIMEOUT_MS = 20_000;
/** Far less than the time-out, far more than a busy machine needs. */
const WELL_BEFORE_MS = 10_000;

describe('A server that gets SIGTERM', () => {
  it('tells everybody to come back, finishes what is in flight and exits with 0 before its time-out', async () => {
    await using server = await RestartableServer.start({ DRAIN_TIMEOUT_MS: String(DRAIN_TIMEOUT_MS) });
    const token = await tokenFor('alice');
    using hub = await RawHub.open(server.url, token);
    using grpc = typedClient(server.url, token, 'connect-node gRPC');
    using connect = typedClient(server.url, token, 'connect-node Connect over HTTP/1.1');
    await using events = await EventFeed.open(grpc.chat, 'streamEvents');
    await using subscription = await EventFeed.open(connect.chat, 'subscribe');
    const told: ServingStatus[] = [];
    const watch = (async () => {
      for await (const { status } of createClient(Health, grpc.transport).watch({})) told.push(status);
    })().catch(reasonOf);
    await expect.poll(() => told).toEqual([ServingStatus.SERVING]);
    using unary1 = await halfHttp1Request(server.port, token, { receiverId: 'bob', text: 'in flight over HTTP/1.1' });
    using unary2 = await halfHttp2Request(server.port, token, { receiverId: 'bob', text: 'in flight over HTTP/2' });

    const askedMs = performance.now();
    const exit = server.stop('SIGTERM');
    await hub.closed;
    expect(hub.records.at(-1)).toEqual({ type: 7, allowReconnect: true });
    for (const feed of [events, subscription]) {
      expect(reasonOf(await feed.ended)).toBe('Unavailable SHUTTING_DOWN');
      expect(feed.frames.at(-1)?.case).toBe('goingAway');
      expect(feed.goingAway?.reason).toBe(GoingAwayReason.SHUTTING_DOWN);
      const { nanos = 0, seconds = 0n } = feed.goingAway?.reconnectAfter ?? {};
      const reconnectAfterMs = Number(seconds) * 1000 + nanos / 1e6;
      expect(reconnectAfterMs).toBeGreaterThan(0);
      expect(reconnectAfterMs).toBeLessThanOrEqual(2000);
    }
    expect(await watch).toBe('Unavailable SHUTTING_DOWN');
    expect(told).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
    await unary2.goAway;
    await expect(RawHub.open(server.url, token)).rejects.toThrow();
    expect(server.isRunning).toBe(true);

    const answers = [await unary1.finish(), await unary2.finish()];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(await exit).toBe(0);
    expect(performance.now() - askedMs).toBeLessThan(WELL_BEFORE_MS);

    await server.start();
    using after = typedClient(server.url, token);
    const { messages } = await after.chat.listMessages({ otherUserId: 'bob' });
    const stored = answers.map(({ body }) => (JSON.parse(body) as { message: { id: string } }).message.id);
    expect(messages.map(({ id }) => id)).toEqual(stored);
  });

  it('ends at once when it is asked a second time', async () => {
    await using server = await RestartableServer.start({
      DRAIN_TIMEOUT_MS: String(DRAIN_TIMEOUT_MS),
      LOG_LEVEL: 'info',
    });
    using _unfinished = await halfHttp1Request(server.port, await tokenFor('alice'), {
      receiverId: 'bob',
      text: 'never',
    });
    const askedMs = performance.now();
    void server.stop('SIGTERM');
    await expect.poll(() => server.output(), { interval: 5 }).toContain('server.draining');
    expect(server.isRunning).toBe(true);
    expect(await server.stop('SIGTERM')).toBe(1);
    expect(performance.now() - askedMs).toBeLessThan(WELL_BEFORE_MS);
  });

  it('is back on its port before its clients give up, and they have missed nothing', async () => {
    await using server = await RestartableServer.start();
    const { url } = server;
    const [alice, bob] = await Promise.all([tokenFor('alice'), tokenFor('bob')]);
    await using page = await openPage(server, 'bob', { reconnects: true });
    await using stream = new ResumingClient({ url, token: bob, kind: 'streamEvents' });
    await using subscription = new ResumingClient({
      url,
      token: bob,
      kind: 'subscribe',
      transport: 'connect-node Connect over HTTP/1.1',
    });
    const ids: string[] = [];
    let stopped = false;
    let restarts = 0;
    // A service that sends without a pause, and repeats under the same id what was not answered.
    const sending = (async () => {
      for (let n = 1; !stopped; n += 1) {
        for (let id: string | undefined; id === undefined; ) {
          using client = typedClient(url, alice, 'connect-node Connect over HTTP/1.1');
          const request = { receiverId: 'bob', text: `message ${n}`, clientMessageId: `message ${n}` };
          id = await client.chat.sendMessage(request).then(
            ({ message }) => message?.id,
            () => new Promise<undefined>((resolve) => setTimeout(resolve, 10, undefined)),
          );
          if (id !== undefined) ids.push(id);
        }
      }
    })();
    for (; restarts < 2; restarts += 1) {
      const before = ids.length;
      await expect.poll(() => ids.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
      expect(await server.stop('SIGTERM')).toBe(0);
      await server.start();
    }
    const before = ids.length;
    await expect.poll(() => ids.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    stopped = true;
    await sending;
    await Promise.all([
      page.until(() => new Set(page.received).size === ids.length),
      stream.until(() => stream.ids.length === ids.length),
      subscription.until(() => subscription.ids.length === ids.length),
    ]);
    expect(stream.ids).toEqual(ids);
    expect(subscription.ids).toEqual(ids);
    expect([...new Set(page.received)]).toEqual(ids);
  });
});
