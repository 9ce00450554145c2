/** Long polling: what proves that an answer arrived, what ends a connection, and what is posted. */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { method } from '../../../../src/bridge/signalr/hub/hub.ts';
import { invoke, methods, polled, type Served, serve, until } from './checklist/serve.ts';
import { Client } from './hosted-server.ts';

const receipt = { receipt: true } as const;

/** A connection over long polling whose hub notes the marks that are proven to have arrived. */
async function proving() {
  const proven: number[] = [];
  const served = await serve({ onReceived: (_connection, mark) => void proven.push(mark) });
  const polling = await polled(served);
  return { ...served, ...polling, proven };
}

/** Polls on one socket that is kept. */
function keptPoll(port: number, path: string): Client {
  const client = new Client(port);
  const ask = (): void => client.raw.request('GET', `${path}&access_token=alice`, [['Host', 'localhost']]);
  ask();
  return Object.assign(client, { ask });
}

const answersOf = (client: Client): number => client.observed.filter(({ kind }) => kind === 'http').length;

describe('A poll', () => {
  it('proves that the answer to the one before it has arrived', async () => {
    const { begun, clock, connections, poll, proven } = await proving();
    const { answer } = await begun();
    const mark = connections[0]?.send('Event', [1], receipt);
    expect((await answer).body).toContain('"Event"');
    await clock.advance(2_000);
    expect(proven).toEqual([]);
    const next = begun();
    await until(() => proven.length > 0);
    expect(proven).toEqual([mark]);
    await next;
    expect(poll).toBeTypeOf('function');
  });

  it('proves nothing by itself when nothing was carried, and at once what is asked after it', async () => {
    const { begun, clock, connections, proven } = await proving();
    const { answer: first } = await begun();
    connections[0]?.send('Event', [1], receipt);
    await first;
    await begun();
    await clock.advance(100);
    await until(() => proven.length === 1);
  });

  it('that comes over another socket when the client may have lost patience ends the connection as lost', async () => {
    const served = await serve({ options: { disconnectTimeoutMs: 200_000, receiptTimeoutMs: 200_000 } });
    const { begun, poll } = await polled(served);
    const { answer } = await begun();
    await served.clock.advance(80_000);
    served.connections[0]?.send('Event', [1]);
    expect((await answer).status).toBe(200);
    await served.clock.advance(20_000);
    expect(await poll()).toMatchObject({ status: 404, body: 'No Connection with that ID' });
    expect(served.ends).toEqual(['connection-lost']);
  });

  it('that comes as late over the socket that carried the answer is as good as any', async () => {
    const served = await serve({ options: { disconnectTimeoutMs: 200_000, receiptTimeoutMs: 200_000 } });
    const { path } = await polled(served);
    const client = keptPoll(served.port, `${path}&poll=kept`) as Client & { ask(): void };
    await until(() => served.connections[0]?.request?.query('poll') === 'kept');
    await served.clock.advance(80_000);
    served.connections[0]?.send('Event', [1]);
    await client.seeRecord('{"type":1,"target":"Event","arguments":[1]}');
    await served.clock.advance(20_000);
    client.ask();
    served.connections[0]?.send('Event', [2]);
    await client.seeRecord('{"type":1,"target":"Event","arguments":[2]}');
    expect(answersOf(client)).toBe(2);
    expect(served.ends).toEqual([]);
  });

  it('whose client goes away while nothing is there to tell costs nothing: the next one gets what comes', async () => {
    const served = await serve();
    const { path, begun } = await polled(served);
    const left = keptPoll(served.port, `${path}&poll=left`);
    await until(() => served.connections[0]?.request?.query('poll') === 'left');
    left.raw.destroy();
    const { answer } = await begun();
    served.connections[0]?.send('Event', [1]);
    expect((await answer).body).toContain('"Event"');
    expect(served.ends).toEqual([]);
  });

  it('that a slow reader does not take ends the connection after the send timeout', async () => {
    const served = await serve({ options: { maximumOutboundBytes: 64_000_000 } });
    const { path } = await polled(served);
    const slow = connect({ port: served.port, host: '127.0.0.1' });
    slow.pause();
    slow.write(`GET ${path}&poll=slow&access_token=alice HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => served.connections[0]?.request?.query('poll') === 'slow');
    served.connections[0]?.send('Event', ['x'.repeat(30_000_000)]);
    for (let seconds = 0; seconds < 30 && served.ends.length === 0; seconds += 1) await served.clock.advance(1_000);
    slow.destroy();
    expect(served.ends).toHaveLength(1);
  });
});

describe('What is posted', () => {
  const call = (id: string, text: string): string =>
    `{"type":1,"invocationId":"${id}","target":"Echo","arguments":["${text}"]}\u001e`;

  it('may come in chunks, in pieces of records, or be nothing', async () => {
    const { path, poll, post, ask } = await polledHub();
    await post('');
    const [head, tail] = [call('1', 'cut').slice(0, 30), call('1', 'cut').slice(30)];
    await post(head);
    await ask('POST', path, { body: tail, headers: { 'transfer-encoding': 'chunked' } });
    expect((await poll()).body).toBe('{"type":3,"invocationId":"1","result":"cut"}\u001e');
  });

  it('is refused over the bound with words that say it, and nothing of it counts', async () => {
    const { poll, post } = await polledHub({ maximumFrameBytes: 40_000 });
    expect(await post(`${call('1', 'never')}${'x'.repeat(40_000)}`)).toMatchObject({
      status: 413,
      body: 'A request may hold 40000 bytes at most',
    });
    await post(call('2', 'this'));
    expect((await poll()).body).toBe('{"type":3,"invocationId":"2","result":"this"}\u001e');
  });

  it('does not count when its client breaks off', async () => {
    const { path, poll, port, post } = await polledHub();
    const breaking = connect({ port, host: '127.0.0.1' });
    await new Promise<void>((resolve) => {
      const body = call('1', 'never');
      const head = `POST ${path}&access_token=alice HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length + 1}\r\n\r\n`;
      breaking.write(head + body, () => resolve());
    });
    breaking.destroy();
    await post(call('2', 'this'));
    expect((await poll()).body).toBe('{"type":3,"invocationId":"2","result":"this"}\u001e');
  });

  it('waits while its connection has enough to do, holds up so its client, and is let go when that ends', async () => {
    const finish = Promise.withResolvers<void>();
    const served = await serve({
      methods: { ...methods, Slow: method([], () => finish.promise) },
      options: { maximumWaitingInvocations: 2 },
    });
    const { path, post } = await polled(served);
    const slow = '{"type":1,"target":"Slow","arguments":[]}\u001e';
    await post(slow.repeat(5));
    const held = Array.from({ length: 20 }, () => post(slow));
    // More than so many at once are not even kept waiting.
    const refused = await Promise.race(held);
    expect(refused).toMatchObject({ status: 429, body: 'Too many requests of this connection at once' });
    await served.ask('DELETE', path);
    const statuses = (await Promise.all(held)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 404)).toHaveLength(16);
    finish.resolve();
  });

  async function polledHub(options = {}): Promise<Served & Awaited<ReturnType<typeof polled>>> {
    const served = await serve({ options });
    return { ...served, ...(await polled(served)) };
  }
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
