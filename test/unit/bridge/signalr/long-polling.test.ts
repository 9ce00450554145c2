/** LongPolling on a real port: polls, their ends, and what a poll proves. */
import { describe, expect, it } from 'vitest';
import { type Asked, HttpHub, HttpSocket, until } from './http-client.ts';

async function started(...args: Parameters<HttpHub['start']>): Promise<HttpHub> {
  const hub = await new HttpHub().start(...args);
  hub.countRequests();
  return hub;
}

describe('polls', () => {
  it('are answered empty at first, and then with everything that waits in one body', async () => {
    const hub = await started();
    const path = await hub.negotiated();
    const polls = new HttpSocket(hub.port);

    const first = await hub.poll(polls, path);
    expect([first.status, first.body, first.headers.get('content-type')]).toEqual([
      200,
      '',
      'application/octet-stream',
    ]);
    expect(first.headers.get('cache-control')).toBe('no-cache, no-store');
    await hub.post(path, '{"protocol":"json","version":1}\u001e');
    hub.connection.send('One', []);
    hub.connection.send('Two', []);
    const second = await hub.poll(polls, path);

    expect(second.body).toBe(
      '{}\u001e{"type":1,"target":"One","arguments":[]}\u001e{"type":1,"target":"Two","arguments":[]}\u001e',
    );
  });

  it('wait for something to tell, and only the last one does', async () => {
    const hub = await started();
    const { path, polls } = await hub.polling();
    const other = new HttpSocket(hub.port);
    await hub.waitingPoll(polls, path);
    await hub.waitingPoll(other, path);

    expect((await polls.answer()).status).toBe(204);
    hub.connection.send('One', []);
    expect((await other.answer()).body).toContain('One');
  });

  it('are answered empty after 90 s, and the connection lives on', async () => {
    const hub = await started();
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path);

    await hub.pass(89_000);
    expect(polls.text).toBe('');
    await hub.pass(2_000);
    const { status, body } = await polls.answer();

    expect([status, body]).toEqual([200, '']);
    expect(hub.ended).toEqual([]);
  });

  it('that stay away for 15 s end the connection', async () => {
    const hub = await started();
    const { path } = await hub.polling();

    await hub.pass(13_000);
    expect(hub.ended).toEqual([]);
    await hub.pass(3_000);

    expect(hub.ended).toEqual(['connection-lost']);
    expect((await hub.ask('GET', path)).status).toBe(404);
    await hub.seeNothingLeft();
  });

  it('are signs of life of a client that never pings, also where silence is not borne', async () => {
    const hub = await started({ options: { timesOutSilentClients: true } });
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path);
    await hub.pass(80_000);
    hub.connection.send('Event', []);

    expect((await polls.answer()).body).toContain('Event');
    expect(hub.ended).toEqual([]);
  });

  it('of clients that left before they were known leave nothing behind', async () => {
    const letIn: (() => void)[] = [];
    let isSlow = false;
    const hub = await started(
      {},
      {
        authenticate: () => {
          const who = { ok: true, user: { name: 'alice' }, userId: 'alice' } as const;
          return isSlow ? new Promise((resolve) => letIn.push(() => resolve(who))) : who;
        },
      },
    );
    const path = await hub.negotiated();
    isSlow = true;
    const left: Promise<unknown>[] = [];
    hub.hosted.http.on('request', (_request, response) =>
      left.push(new Promise((resolve) => response.once('close', resolve))),
    );
    for (const headers of [{}, { Accept: 'text/event-stream' }]) {
      const socket = new HttpSocket(hub.port);
      socket.write('GET', path, { headers });
      await until(() => letIn.length > 0);
      socket.socket.destroy();
      await left.at(-1);
      letIn.pop()?.();
    }
    await new Promise((resolve) => setImmediate(resolve));

    expect(hub.hosted.signalr.connections).toBe(0);
    await hub.pass(16_000);
    await hub.seeNothingLeft();
  });
});

describe('the end of a polled connection', () => {
  it('is said by DELETE, whether a poll waits or not, and only once', async () => {
    const hub = await started();
    const waiting = await hub.polling();
    await hub.waitingPoll(waiting.polls, waiting.path);
    expect((await hub.ask('DELETE', waiting.path)).status).toBe(202);
    expect((await waiting.polls.answer()).status).toBe(204);
    const between = await hub.polling();
    expect((await hub.ask('DELETE', between.path)).status).toBe(202);

    for (const { path } of [waiting, between]) {
      for (const method of ['DELETE', 'GET', 'POST']) expect((await hub.ask(method, path)).status).toBe(404);
    }
    expect(hub.ended).toEqual([undefined, undefined]);
    await hub.seeNothingLeft();
  });

  it('is said by DELETE before the handshake, but not before the first poll', async () => {
    const hub = await started();
    const path = await hub.negotiated();
    expect((await hub.ask('DELETE', path)).body).toBe('Cannot terminate this connection using the DELETE endpoint.');
    await hub.poll(new HttpSocket(hub.port), path);

    expect((await hub.ask('DELETE', path)).status).toBe(202);
    await hub.seeNothingLeft();
  });

  it('by the hub reaches the client with all that was sent before: then 204, then 404', async () => {
    const hub = await started();
    const { path, polls } = await hub.polling();
    hub.connection.send('Last', []);
    hub.connection.close({ allowReconnect: true });

    expect((await hub.poll(polls, path)).body).toBe(
      '{"type":1,"target":"Last","arguments":[]}\u001e{"type":7,"allowReconnect":true}\u001e',
    );
    expect((await hub.poll(polls, path)).status).toBe(204);
    expect((await hub.poll(polls, path)).status).toBe(404);
    await hub.seeNothingLeft();
  });

  it('comes at once with a poll that waits', async () => {
    const hub = await started();
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path);
    hub.connection.close();

    expect((await polls.answer()).body).toBe('{"type":7}\u001e');
    expect((await hub.poll(polls, path)).status).toBe(204);
  });

  it('when the server drains is told to those who poll and to those between two polls', async () => {
    const hub = await started();
    const one = await hub.polling();
    const other = await hub.polling();
    const unused = await hub.negotiated();
    await hub.waitingPoll(one.polls, one.path);
    const drained = hub.hosted.signalr.drain();

    const goodbye = '{"type":7,"allowReconnect":true}\u001e';
    expect((await one.polls.answer()).body).toBe(goodbye);
    expect((await hub.poll(other.polls, other.path)).body).toBe(goodbye);
    const late = await hub.ask('GET', unused);
    expect([late.status, late.body]).toEqual([503, 'The server is shutting down']);
    expect((await hub.poll(one.polls, one.path)).status).toBe(204);
    expect((await hub.ask('DELETE', other.path)).status).toBe(202);
    await drained;
  });

  it('cuts a poll that waits when the server is closed', async () => {
    const hub = await started();
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path);
    hub.hosted.signalr.close();

    await polls.seeEnd();
    expect(hub.ended).toEqual(['connection-lost']);
  });
});

describe('proof of receipt', () => {
  /** A connection that has carried an event whose receipt is of interest. */
  async function carried(): Promise<{ hub: HttpHub; path: string; polls: HttpSocket; mark: number }> {
    const hub = await started({ options: { receiptProbeDelayMs: 1 } });
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path);
    const mark = hub.connection.send('Event', [], { receipt: true });
    await polls.answer();
    await hub.clock.advance(10);
    expect(hub.received).toEqual([]);
    return { hub, path, polls, mark };
  }

  it('is the next poll on the same socket', async () => {
    const { hub, path, polls, mark } = await carried();
    await hub.waitingPoll(polls, path);
    expect(hub.received).toEqual([mark]);
  });

  it('is the next poll on another socket, in time', async () => {
    const { hub, path, mark } = await carried();
    await hub.waitingPoll(new HttpSocket(hub.port), path);
    expect(hub.received).toEqual([mark]);
  });

  /** As `carried`, but the poll had waited for 89 s and the next one comes when its client may have given up. */
  async function late(asked: Asked = {}): Promise<{ hub: HttpHub; path: string; polls: HttpSocket; mark: number }> {
    const hub = await started({ options: { receiptProbeDelayMs: 1 } });
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path, asked);
    await hub.pass(89_000);
    const mark = hub.connection.send('Event', [], { receipt: true });
    await polls.answer();
    await hub.pass(7_000);
    return { hub, path, polls, mark };
  }

  it('is no poll on another socket that comes when the client may have given up the one before', async () => {
    const { hub, path } = await late();
    const answer = await hub.ask('GET', path);

    expect(answer.status).toBe(404);
    expect(hub.received).toEqual([]);
    expect(hub.ended).toEqual(['connection-lost']);
    await hub.seeNothingLeft();
  });

  it('is such a poll on the same socket, which a client that gave up would have closed', async () => {
    const { hub, path, polls, mark } = await late();
    await hub.waitingPoll(polls, path);
    expect(hub.received).toEqual([mark]);
  });

  it('is not such a poll on the socket of a proxy', async () => {
    const proxied = { headers: { 'X-Forwarded-For': '192.0.2.1' } };
    const { hub, path, polls } = await late(proxied);
    polls.write('GET', path, proxied);

    expect((await polls.answer()).status).toBe(404);
    expect(hub.received).toEqual([]);
    expect(hub.ended).toEqual(['connection-lost']);
  });

  it('is not given by an answer that broke off in the middle', async () => {
    const hub = await started({ options: { receiptProbeDelayMs: 1, maximumOutboundBytes: 67_108_864 } });
    const { path, polls } = await hub.polling();
    polls.socket.pause();
    await hub.waitingPoll(polls, path);
    hub.connection.send('Large', ['x'.repeat(32_000_000)], { receipt: true });
    await hub.clock.advance(10);
    polls.socket.destroy();
    await until(() => hub.ended.length > 0);

    expect([hub.received, hub.ended]).toEqual([[], ['connection-lost']]);
    expect((await hub.ask('GET', path)).status).toBe(404);
    await hub.seeNothingLeft();
  });

  it('does not come from a poll while the answer before is still on its way, which waits for it', async () => {
    const hub = await started({ options: { receiptProbeDelayMs: 1, maximumOutboundBytes: 67_108_864 } });
    const { path, polls } = await hub.polling();
    polls.socket.pause();
    await hub.waitingPoll(polls, path);
    const mark = hub.connection.send('Large', ['x'.repeat(32_000_000)], { receipt: true });
    await hub.clock.advance(10);
    const other = new HttpSocket(hub.port);
    await hub.waitingPoll(other, path);
    expect(hub.received).toEqual([]);
    polls.socket.resume();
    await until(() => hub.received.length > 0);

    expect(hub.received).toEqual([mark]);
    hub.connection.send('After', []);
    expect((await other.answer()).body).toContain('After');
  });

  it('is not needed of a client that gave up a poll with nothing in it, and polls again', async () => {
    const hub = await started();
    const { path, polls } = await hub.polling();
    await hub.waitingPoll(polls, path);
    polls.socket.destroy();
    const again = new HttpSocket(hub.port);
    await hub.waitingPoll(again, path);
    hub.connection.send('Event', []);

    expect((await again.answer()).body).toContain('Event');
    expect(hub.ended).toEqual([]);
  });
});

describe('a polling client that takes nothing', () => {
  it('is cut after 10 s, and what it did not take is freed', async () => {
    const hub = await started({ options: { maximumOutboundBytes: 67_108_864 } });
    const { path, polls } = await hub.polling();
    polls.socket.pause();
    await hub.waitingPoll(polls, path);
    hub.connection.send('Large', ['x'.repeat(32_000_000)]);
    await hub.pass(13_000);

    expect(hub.ended).toEqual(['send-timeout']);
    polls.socket.resume();
    await polls.seeEnd();
    expect(polls.text.length).toBeLessThan(32_000_000);
    await hub.seeNothingLeft();
  });
});
