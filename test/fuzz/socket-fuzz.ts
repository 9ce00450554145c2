/** Broken requests, frames and records over real sockets, on every transport: clients that end badly, one after the other. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connected, host } from '../unit/bridge/signalr/hosted-server.ts';
import { CORPUS, HANDSHAKES, type ProtocolName } from './corpus.ts';
import { Dice } from './dice.ts';
import { fuzzedHub } from './fuzzed-hub.ts';
import { mutated } from './mutations.ts';

export interface SocketFuzzReport {
  /** Requests, frames and bodies that were written. */
  readonly inputs: number;
  readonly leftovers: Readonly<Record<string, number>>;
}

const PARALLEL = 16;
const INPUTS_PER_CLIENT = 20;
const CLIENTS_PER_CHECK = 64;
const PROTOCOLS: readonly ProtocolName[] = ['json', 'messagepack'];
const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];
const REQUESTS = ['GET', 'POST', 'DELETE', 'PUT', 'OPTIONS', 'HEAD'].flatMap((method) =>
  ['/hub', '/hub/negotiate', '/hub?id=nope', '/HUB/?id=', '/hub/negotiate?negotiateVersion=99999999999'].map((path) =>
    Buffer.from(
      `${method} ${path}${path.includes('?') ? '&' : '?'}access_token=mallory HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}\u001e`,
    ),
  ),
);

/** Feeds at least `count` inputs. Throws when a bystander is not served. */
export async function fuzzSockets(count: number, seed: number): Promise<SocketFuzzReport> {
  const dice = new Dice(seed);
  const { http, port, signalr } = await host(fuzzedHub, {});
  const bystander = await connected(port, 'bystander');
  let inputs = 0;
  let clients = 0;
  while (inputs < count) {
    const fed = await Promise.all(Array.from({ length: PARALLEL }, () => oneClient(port, dice)));
    for (const number of fed) inputs += number;
    clients += PARALLEL;
    if (clients % CLIENTS_PER_CHECK !== 0) continue;
    const id = `b${clients}`;
    bystander.record(`{"type":1,"invocationId":"${id}","target":"Text","arguments":["served"]}`);
    await bystander.seeRecord(`{"type":3,"invocationId":"${id}","result":"served"}`);
  }
  bystander.raw.destroy();
  signalr.close();
  http.closeAllConnections();
  while (signalr.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  const { clientInvocations, connections, groups, streams } = signalr;
  return { inputs, leftovers: { connections, groups, streams, clientInvocations } };
}

async function oneClient(port: number, dice: Dice): Promise<number> {
  const protocol = dice.of(PROTOCOLS);
  switch (dice.number(4)) {
    case 0:
      return noise(port, dice, REQUESTS, dice.of(REQUESTS));
    case 1:
      return webSocket(port, dice, protocol);
    default:
      return requests(port, dice, protocol, dice.once(2) ? 'text/event-stream' : '*/*');
  }
}

/** Broken requests, and what may follow them on a connection that is kept alive. */
async function noise(port: number, dice: Dice, corpus: readonly Buffer[], first: Buffer): Promise<number> {
  const socket = await opened(port);
  socket.write(mutated(dice, [first]));
  let fed = 1;
  for (; fed < INPUTS_PER_CLIENT && socket.writable; fed += 1) socket.write(mutated(dice, corpus));
  await gone(socket, dice);
  return fed;
}

/** Good and broken frames that hold good and broken records. */
async function webSocket(port: number, dice: Dice, protocol: ProtocolName): Promise<number> {
  const socket = await opened(port);
  const lines = ['GET /hub?access_token=mallory HTTP/1.1', 'Host: x', ...UPGRADE];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  await answer(socket);
  socket.write(frame(HANDSHAKES[protocol], 2));
  let fed = 1;
  for (; fed < INPUTS_PER_CLIENT && socket.writable; fed += 1) {
    const whole = frame(mutated(dice, CORPUS[protocol]), dice.once(8) ? dice.number(16) : 2);
    socket.write(dice.once(4) ? mutated(dice, [whole]) : whole);
  }
  await gone(socket, dice);
  return fed;
}

/** A connection with a request for each thing said. */
async function requests(port: number, dice: Dice, protocol: ProtocolName, accept: string): Promise<number> {
  const base = `http://127.0.0.1:${port}/hub`;
  const negotiated = await fetch(`${base}/negotiate?negotiateVersion=1&access_token=mallory`, { method: 'POST' });
  const { connectionToken } = (await negotiated.json()) as { connectionToken: string };
  const url = `${base}?id=${connectionToken}&access_token=mallory`;
  const listening = new AbortController();
  const get = async (): Promise<unknown> => {
    const response = await fetch(url, { headers: { accept }, signal: listening.signal });
    return accept === '*/*' ? response.arrayBuffer() : response;
  };
  await get();
  const post = async (body: Buffer): Promise<void> => {
    const response = await fetch(url, { method: 'POST', body: new Uint8Array(body), signal: listening.signal });
    await response.arrayBuffer();
  };
  await post(HANDSHAKES[protocol]);
  let fed = 2;
  for (; fed < INPUTS_PER_CLIENT; fed += 1) {
    if (accept === '*/*' && dice.once(3)) void get().catch(() => undefined);
    await post(mutated(dice, CORPUS[protocol]));
  }
  if (dice.once(2)) await fetch(url, { method: 'DELETE' });
  listening.abort();
  return fed;
}

/** A masked frame of a client (RFC 6455, section 5.2). */
function frame(payload: Buffer, opcode: number): Buffer {
  const length = payload.length;
  const head =
    length < 126 ? [0x80 | opcode, 0x80 | length] : [0x80 | opcode, 0xfe, (length >>> 8) & 0xff, length & 0xff];
  // The mask 0 leaves the payload as it is.
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload.subarray(0, 0xffff)]);
}

async function opened(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Resolves with the first bytes of the server, or its end. */
function answer(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('data', () => resolve());
    socket.once('close', () => resolve());
  });
}

/** Leaves in one of the ways in which clients leave. */
async function gone(socket: Socket, dice: Dice): Promise<void> {
  if (dice.once(3)) socket.end();
  else if (dice.once(2)) socket.resetAndDestroy();
  socket.resume();
  // One that stays is looked at until the server has had its turn.
  await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
}
