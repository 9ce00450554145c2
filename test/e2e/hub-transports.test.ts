/** The hub's plain HTTP transports: over HTTP/2, and what they prove to have arrived. */
import { type ClientHttp2Session, connect } from 'node:http2';
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { describe, expect, it, onTestFinished } from 'vitest';
import { pendingFor } from './support/evidence.ts';
import { startServer, tokenFor } from './support/server.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** A request on the session; for a stream of events `seen` resolves when its text holds `until`. */
function ask(session: ClientHttp2Session, method: string, path: string, body = '', until?: string): Promise<Answer> {
  const accept = until === undefined ? {} : { accept: 'text/event-stream' };
  const stream = session.request({ ':method': method, ':path': path, ...accept }, { endStream: body === '' });
  return new Promise((resolve, reject) => {
    let status = 0;
    let headers: Readonly<Record<string, unknown>> = {};
    let text = '';
    const done = (): void => resolve({ status, headers, body: text });
    stream.setEncoding('utf8');
    stream.on('response', (received) => {
      status = Number(received[':status']);
      headers = received;
    });
    stream.on('data', (chunk: string) => {
      text += chunk;
      if (until !== undefined && text.includes(until)) done();
    });
    stream.on('end', done);
    stream.on('error', reject);
    if (body !== '') stream.end(body);
  });
}

async function session(url: string): Promise<ClientHttp2Session> {
  const opened = connect(url);
  onTestFinished(() => opened.destroy());
  await new Promise((resolve) => opened.once('connect', resolve));
  return opened;
}

const handshake = '{"protocol":"json","version":1}\u001e';
const call = '{"type":1,"invocationId":"1","target":"GetOnlineStatus","arguments":["nobody"]}\u001e';
const answered = '{"type":3,"invocationId":"1","result":false}\u001e';

describe('Over HTTP/2', () => {
  it('a client negotiates, polls, posts and leaves', async () => {
    const server = await startServer({ PRESENCE_AUDIENCE: 'nobody' });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const h2 = await session(`http://127.0.0.1:${server.port}`);
    const token = await tokenFor('alice');
    const negotiated = await ask(h2, 'POST', `/chathub/negotiate?negotiateVersion=1&access_token=${token}`);
    const { connectionToken } = JSON.parse(negotiated.body) as { connectionToken: string };
    const path = `/chathub?id=${connectionToken}&access_token=${token}`;
    expect(await ask(h2, 'GET', path)).toMatchObject({ status: 200, body: '' });
    expect((await ask(h2, 'POST', path, handshake)).status).toBe(200);
    expect((await ask(h2, 'GET', path)).body).toBe('{}\u001e');
    const waiting = ask(h2, 'GET', path);
    await ask(h2, 'POST', path, call);
    expect((await waiting).body).toBe(answered);
    expect((await ask(h2, 'DELETE', path)).status).toBe(202);
    expect((await ask(h2, 'GET', path)).status).toBe(404);
  });

  it('a client listens to a stream of events, and is told when the server stops', async () => {
    const server = await startServer({ PRESENCE_AUDIENCE: 'nobody' });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const h2 = await session(`http://127.0.0.1:${server.port}`);
    const token = await tokenFor('alice');
    const negotiated = await ask(h2, 'POST', `/chathub/negotiate?negotiateVersion=1&access_token=${token}`);
    const { connectionToken } = JSON.parse(negotiated.body) as { connectionToken: string };
    const path = `/chathub?id=${connectionToken}&access_token=${token}`;
    const events = ask(h2, 'GET', path, '', '"allowReconnect":true');
    // The stream has begun when what is posted to it is taken.
    while ((await ask(h2, 'POST', path)).status !== 200);
    await ask(h2, 'POST', path, handshake);
    await ask(h2, 'POST', path, call);
    await server.app.drain();
    const { body, headers, status } = await events;
    expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: 'text/event-stream' });
    // How many records an event holds is chance.
    const records = body.replace(':\r\n', '').replaceAll(/data: |\r\n/g, '');
    expect(records).toBe(`{}\u001e${answered}{"type":7,"allowReconnect":true}\u001e`);
  });
});

describe('What a page has got', () => {
  it.each([
    ['LongPolling', 1],
    ['ServerSentEvents', 2],
  ] as const)('over %s is sent %i time(s) when it comes back: polls are proof, events are not', async (name, times) => {
    const server = await startServer({ PRESENCE_AUDIENCE: 'nobody' });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const heard: string[] = [];
    const page = async (user: string, transport: HttpTransportType) => {
      const token = await tokenFor(user);
      const connection = new HubConnectionBuilder()
        .withUrl(`http://127.0.0.1:${server.port}/chathub`, { accessTokenFactory: () => token, transport })
        .configureLogging(LogLevel.None)
        .build();
      connection.on('ReceiveMessage', (_sender: string, text: string) => heard.push(text));
      onTestFinished(() => connection.stop());
      await connection.start();
      return connection;
    };
    const alice = await page('alice', HttpTransportType.WebSockets);
    const bob = await page('bob', HttpTransportType[name]);
    await alice.invoke('SendMessage', 'alice', 'bob', 'once');
    while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
    // The proof of polls takes a moment: it is asked for after a short while, and stored.
    const pending = name === 'LongPolling' ? 0 : 1;
    await expect.poll(() => pendingFor(server.dataDir, 'bob'), { timeout: 10_000 }).toBe(pending);
    await bob.stop();
    const again = await page('bob', HttpTransportType[name]);
    await alice.invoke('SendMessage', 'alice', 'bob', 'last');
    while (!heard.includes('last')) await new Promise((resolve) => setImmediate(resolve));
    expect(heard.filter((text) => text === 'once')).toHaveLength(times);
    await again.stop();
  });
});
