/** A unary call whose headers have reached the server and whose body has not: a call in flight, for as long as a test likes. */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

const PATH = '/carepro.chat.v1.ChatService/SendMessage';
const PARTING = 10;

export interface HalfRequest extends Disposable {
  /** Sends the rest. @returns the status and the body of the answer. */
  finish(): Promise<{ status: number; body: string }>;
  /** Resolves when the server has told this connection to go (HTTP/2 only). */
  readonly goAway: Promise<void>;
}

/** Over HTTP/1.1. Resolves when the server has asked for the body. */
export function halfHttp1Request(port: number, token: string, message: object): Promise<HalfRequest> {
  const body = JSON.stringify(message);
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        [
          `POST ${PATH} HTTP/1.1`,
          'Host: 127.0.0.1',
          `Authorization: Bearer ${token}`,
          'Content-Type: application/json',
          `Content-Length: ${Buffer.byteLength(body)}`,
          'Expect: 100-continue',
          '\r\n',
        ].join('\r\n'),
      );
      socket.write(body.slice(0, PARTING));
    });
    let read = '';
    const ended = new Promise<void>((done) => socket.once('close', () => done()));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      read += chunk.toString();
      if (read.startsWith('HTTP/1.1 100')) resolve(request);
    });
    const request: HalfRequest = {
      goAway: new Promise(() => undefined),
      async finish() {
        socket.write(body.slice(PARTING));
        await ended;
        const answer = read.slice(read.indexOf('\r\n\r\n') + 4);
        const [head = '', ...rest] = answer.split('\r\n\r\n');
        return { status: Number(head.split(' ')[1]), body: rest.join('\r\n\r\n') };
      },
      [Symbol.dispose]: () => void socket.destroy(),
    };
  });
}

/** Over HTTP/2. Resolves when the server has the headers, which the answer to a ping behind them proves. */
export async function halfHttp2Request(port: number, token: string, message: object): Promise<HalfRequest> {
  const body = JSON.stringify(message);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const goAway = new Promise<void>((resolve) => session.once('goaway', () => resolve()));
  // A ping before it would be cancelled.
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => resolve());
    session.once('error', reject);
  });
  const stream = session.request({
    ':method': 'POST',
    ':path': PATH,
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
  });
  session.on('error', () => undefined);
  stream.on('error', () => undefined);
  let status = 0;
  let read = '';
  stream.on('response', (headers) => {
    status = Number(headers[':status']);
  });
  stream.on('data', (chunk: Buffer) => {
    read += chunk.toString();
  });
  stream.write(body.slice(0, PARTING));
  await new Promise<void>((resolve, reject) => session.ping((error) => (error === null ? resolve() : reject(error))));
  return {
    goAway,
    async finish() {
      const ended = new Promise<void>((resolve) => stream.once('close', () => resolve()));
      stream.end(body.slice(PARTING));
      await ended;
      return { status, body: read };
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}
