/** The checklist of the reference's behaviours, 1 to 19: negotiation and HTTP connections. */
import { describe, expect, it } from 'vitest';
import { Client } from '../hosted-server.ts';
import { completion, handshake, invoke, polled, recordsOf, serve, until } from './serve.ts';

const EVENT_STREAM = { accept: 'text/event-stream' };
const NOT_CACHED = {
  'cache-control': 'no-cache, no-store',
  pragma: 'no-cache',
  expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
};
const NO_CONNECTION = { status: 404, body: 'No Connection with that ID' };

/** An event stream, read by a raw client. */
async function listening(port: number, id: string): Promise<Client> {
  const client = new Client(port);
  client.raw.request('GET', `/hub?id=${id}&access_token=alice`, [
    ['Host', 'localhost'],
    ['Accept', 'text/event-stream'],
  ]);
  await client.seeStatus();
  return client;
}

describe('Negotiate', () => {
  it('1: version 1 gives a public id and a secret token, lists the transports, and only the token opens the connection', async () => {
    const { ask, negotiate } = await serve();
    const answer = await negotiate();
    expect(answer).toMatchObject({ negotiateVersion: 1 });
    expect(answer.connectionId).not.toBe(answer.connectionToken);
    expect(answer.availableTransports).toEqual([
      { transport: 'WebSockets', transferFormats: ['Text', 'Binary'] },
      { transport: 'ServerSentEvents', transferFormats: ['Text'] },
      { transport: 'LongPolling', transferFormats: ['Text', 'Binary'] },
    ]);
    expect(await ask('GET', `/hub?id=${answer.connectionId}`)).toMatchObject(NO_CONNECTION);
    expect(await ask('GET', `/hub?id=${answer.connectionToken}`)).toMatchObject({ status: 200, body: '' });
  });

  it('2: without a version the id is the token; 99 is answered as 1; a version that is no number is an error with 200', async () => {
    const { ask, negotiate } = await serve();
    const old = await negotiate('');
    expect(old).toMatchObject({ negotiateVersion: 0 });
    expect(old).not.toHaveProperty('connectionToken');
    expect((await ask('GET', `/hub?id=${old.connectionId}`)).status).toBe(200);
    expect(await negotiate('negotiateVersion=99')).toMatchObject({ negotiateVersion: 1 });
    expect(await negotiate('negotiateVersion=%20%2B1%20')).toMatchObject({ negotiateVersion: 1 });
    for (const text of ['Invalid', '1.0', '']) {
      expect(await ask('POST', `/hub/negotiate?negotiateVersion=${text}`)).toMatchObject({
        status: 200,
        body: '{"error":"The client requested a non-integer protocol version."}',
      });
    }
  });

  it('3: only the transports of the options are offered and let in; GET is refused', async () => {
    const { ask, negotiate } = await serve({ options: { transports: ['LongPolling'] } });
    const answer = await negotiate();
    expect(answer.availableTransports.map(({ transport }) => transport)).toEqual(['LongPolling']);
    const path = `/hub?id=${answer.connectionToken}`;
    expect((await ask('GET', path, { headers: EVENT_STREAM })).status).toBe(404);
    const { upgraded } = await serve({ options: { transports: ['LongPolling'] } });
    const [first] = (await upgraded()).observed;
    expect(first).toMatchObject({ kind: 'http', status: 404 });
    expect((await ask('GET', '/hub/negotiate')).status).toBe(405);
  });

  it('4: stateful reconnect is echoed only where the server has it and the client asked', async () => {
    const asking = 'negotiateVersion=1&useStatefulReconnect=true';
    const without = await serve();
    expect(await without.negotiate(asking)).not.toHaveProperty('useStatefulReconnect');
    const { negotiate } = await serve({ options: { allowStatefulReconnect: true } });
    expect(await negotiate()).not.toHaveProperty('useStatefulReconnect');
    expect(await negotiate(asking)).toHaveProperty('useStatefulReconnect', true);
  });

  it('5: every request needs a token, by header or query', async () => {
    const { ask, negotiate, port } = await serve();
    const { connectionToken } = await negotiate();
    for (const [verb, path] of [
      ['POST', '/hub/negotiate'],
      ['GET', `/hub?id=${connectionToken}`],
      ['POST', `/hub?id=${connectionToken}`],
      ['DELETE', `/hub?id=${connectionToken}`],
    ] as const) {
      const refused = await ask(verb, path, { user: null });
      expect(refused).toMatchObject({ status: 401, body: '' });
      expect(refused.headers).toHaveProperty('www-authenticate', 'Bearer');
    }
    const client = new Client(port);
    client.upgrade('/hub');
    expect(await client.seeStatus()).toBe(401);
    const byHeader = await ask('POST', '/hub/negotiate', { user: null, headers: { authorization: 'Bearer alice' } });
    expect(byHeader.status).toBe(200);
  });
});

describe('An HTTP connection', () => {
  it('6: an unknown id is 404, a missing one 400, but for a WebSocket, which may skip negotiation; PUT is 405', async () => {
    const { ask, open, upgraded } = await serve();
    for (const verb of ['GET', 'POST', 'DELETE']) {
      expect(await ask(verb, '/hub?id=nope')).toMatchObject(NO_CONNECTION);
      expect(await ask(verb, '/hub')).toMatchObject({ status: 400, body: 'Connection ID required' });
    }
    expect((await upgraded('&id=nope')).observed[0]).toMatchObject({ kind: 'http', ...NO_CONNECTION });
    expect((await ask('PUT', '/hub?id=nope')).status).toBe(405);
    await open();
  });

  it('7: the first poll answers empty at once, later ones wait and bring all that is pending, uncached', async () => {
    const served = await serve();
    const { first, poll, post } = await polled(served);
    expect(first).toMatchObject({ status: 200, body: '' });
    expect(first.headers).toMatchObject({ ...NOT_CACHED, 'content-type': 'application/octet-stream' });
    const waiting = poll();
    await post('{"type":1,"invocationId":"1","target":"Echo","arguments":["a"]}\u001e');
    expect((await waiting).body).toBe('{"type":3,"invocationId":"1","result":"a"}\u001e');
    const both = ['2', '3'].map((id) => `{"type":1,"invocationId":"${id}","target":"Nothing","arguments":[]}\u001e`);
    await post(both.join(''));
    expect((await poll()).body.split('\u001e')).toHaveLength(3);
  });

  it('8: a poll that waits 90 s ends with an empty 200; a second poll ends the first with 204', async () => {
    const served = await serve();
    const { begun } = await polled(served);
    const { clock } = served;
    const { answer: first } = await begun();
    const { answer: second } = await begun();
    expect(await first).toMatchObject({ status: 204, body: '' });
    // The second waits since a moment; a little more than its time, in steps in which nobody counts as gone.
    for (let seconds = 0; seconds < 92; seconds += 1) await clock.advance(1_000);
    expect(await second).toMatchObject({ status: 200, body: '' });
  });

  it('9: DELETE ends long polling with 202, a waiting poll with it, then all is 404; other transports refuse it', async () => {
    const served = await serve();
    const { begun, path, poll, post } = await polled(served);
    const { answer: waiting } = await begun();
    expect((await served.ask('DELETE', path)).status).toBe(202);
    expect((await waiting).status).toBe(204);
    expect(await poll()).toMatchObject(NO_CONNECTION);
    expect(await post('x')).toMatchObject(NO_CONNECTION);
    expect(await served.ask('DELETE', path)).toMatchObject(NO_CONNECTION);
    expect(served.ends).toEqual([undefined]);
    const { connectionToken } = await served.negotiate();
    await listening(served.port, connectionToken);
    expect(await served.ask('DELETE', `/hub?id=${connectionToken}`)).toMatchObject({
      status: 400,
      body: 'Cannot terminate this connection using the DELETE endpoint.',
    });
  });

  it('10: what a hub sends last is still delivered by the next poll, then 204 follows', async () => {
    const { poll, post } = await polled(await serve());
    await post('{"type":7}\u001e');
    expect((await poll()).body).toBe('{"type":7}\u001e');
    expect((await poll()).status).toBe(204);
    expect(await poll()).toMatchObject(NO_CONNECTION);
  });

  it('11: a poller that stays away for 15 s is gone, and so is an id that nobody used', async () => {
    const served = await serve();
    const { post } = await polled(served);
    const { connectionToken } = await served.negotiate();
    await served.clock.advance(13_000);
    expect((await post('{"type":6}\u001e')).status).toBe(200);
    await served.clock.advance(4_000);
    expect(await post('{"type":6}\u001e')).toMatchObject(NO_CONNECTION);
    expect(served.ends).toEqual(['connection-lost']);
    expect(await served.ask('GET', `/hub?id=${connectionToken}`)).toMatchObject(NO_CONNECTION);
  });

  it('12: an event stream begins with a comment, is neither cached nor compressed, and carries one write an event', async () => {
    const { ask, negotiate, port } = await serve();
    const { connectionToken } = await negotiate();
    const client = await listening(port, connectionToken);
    expect(client.observed[0]).toMatchObject({ kind: 'http', status: 200 });
    const [head] = client.observed;
    const headers = head?.kind === 'http' ? Object.fromEntries(head.headers) : {};
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache,no-store',
      'content-encoding': 'identity',
    });
    await ask('POST', `/hub?id=${connectionToken}`, { body: handshake });
    await client.seeRecord('{}');
  });

  it('13: a live id is refused to a second transport: 409, 400, 405', async () => {
    const { ask, negotiate, port, upgraded } = await serve();
    const { connectionToken: streamed } = await negotiate();
    await listening(port, streamed);
    expect((await ask('GET', `/hub?id=${streamed}`, { headers: EVENT_STREAM })).status).toBe(409);
    expect(await ask('GET', `/hub?id=${streamed}`)).toMatchObject({
      status: 400,
      body: 'Cannot change transports mid-connection',
    });
    const { connectionToken: socket } = await negotiate();
    await upgraded(`&id=${socket}`);
    expect((await upgraded(`&id=${socket}`)).observed[0]).toMatchObject({ kind: 'http', status: 409 });
    expect(await ask('POST', `/hub?id=${socket}`, { body: handshake })).toMatchObject({
      status: 405,
      body: 'POST requests are not allowed for WebSocket connections.',
    });
  });

  it('14: after a client dropped its event stream or WebSocket the id is unknown at once', async () => {
    const { ask, negotiate, port, signalr, upgraded } = await serve();
    const ids = [(await negotiate()).connectionToken, (await negotiate()).connectionToken];
    (await listening(port, ids[0] ?? '')).raw.destroy();
    (await upgraded(`&id=${ids[1]}`)).raw.destroy();
    await until(() => signalr.connections === 0);
    for (const id of ids) expect(await ask('POST', `/hub?id=${id}`)).toMatchObject(NO_CONNECTION);
  });

  it('15: a client that takes nothing for 10 s is cut', async () => {
    const served = await serve({
      options: { keepAliveIntervalMs: 600_000, maximumOutboundBytes: 64_000_000 },
      onConnected: (connection) => {
        for (let n = 0; n < 600; n += 1) connection.send('Large', ['x'.repeat(50_000)]);
      },
    });
    const client = await served.upgraded();
    client.raw.pause();
    client.record('{"protocol":"json","version":1}');
    await until(() => served.signalr.connections === 1);
    for (let seconds = 0; seconds < 30 && served.ends.length === 0; seconds += 1) await served.clock.advance(1_000);
    expect(served.ends).toEqual(['send-timeout']);
  });

  it('16: a WebSocket is closed with 1000, and cut where the client does not answer for 5 s; fragments are joined', async () => {
    const { clock, open, signalr } = await serve();
    const client = await open();
    const record = Buffer.from('{"type":1,"invocationId":"1","target":"Echo","arguments":["joined"]}\u001e');
    client.raw.frame(1, record.subarray(0, 20), { isFinal: false });
    client.raw.frame(0, record.subarray(20));
    expect(await completion(client, '1')).toEqual({ result: 'joined' });
    client.record('{"type":7}');
    await client.see(({ kind }) => kind === 'close-frame');
    expect(client.observed.find(({ kind }) => kind === 'close-frame')).toMatchObject({ code: 1000 });
    expect(signalr.connections).toBe(1);
    await clock.advance(7_000);
    await until(() => signalr.connections === 0);
  });

  it('17: each poll carries its own token; better than the reference, another user is refused', async () => {
    const served = await serve();
    const mine = await polled(served);
    expect((await served.ask('GET', mine.path, { user: 'mallory' })).status).toBe(403);
    expect((await served.ask('POST', mine.path, { user: 'mallory', body: 'x' })).status).toBe(403);
    expect((await served.ask('DELETE', mine.path, { user: 'mallory' })).status).toBe(403);
    expect((await served.ask('GET', mine.path, { user: null })).status).toBe(401);
  });

  it('18: a token that runs out ends nothing, unless the endpoint wants so', async () => {
    const expiring = (clockOf: () => number) => ({
      authenticate: () => ({ ok: true, user: { name: 'a' }, userId: 'a', expiresAtMs: clockOf() + 5_000 }) as const,
    });
    for (const closeOnAuthenticationExpiration of [false, true]) {
      let now = (): number => 0;
      const served = await serve(
        { options: { closeOnAuthenticationExpiration } },
        expiring(() => now()),
      );
      now = () => served.clock.now();
      const client = await served.open();
      await served.clock.advance(10_000);
      if (closeOnAuthenticationExpiration) await client.seeRecord('{"type":7,"allowReconnect":true}');
      else expect(await invoke(client, '1', 'Echo', 'still here')).toEqual({ result: 'still here' });
    }
  });

  it('19: a server that stops ends every connection, and waits for what its hub is told', async () => {
    const served = await serve();
    const client = await served.open();
    const { poll } = await polled(served);
    const waiting = poll();
    const drained = served.signalr.drain();
    await client.seeRecord('{"type":7,"allowReconnect":true}');
    expect((await waiting).body).toBe('{"type":7,"allowReconnect":true}\u001e');
    client.raw.destroy();
    expect((await poll()).status).toBe(204);
    await drained;
    expect(served.ends).toHaveLength(2);
    expect(recordsOf(client)).not.toContain('{"type":7}');
  });
});
