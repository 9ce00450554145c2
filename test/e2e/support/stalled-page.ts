/** A hub connection on a bare socket that completes its handshake and then reads nothing more, as a hung page does. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const HANDSHAKE = Buffer.from('{"protocol":"json","version":1}\u001e');
const HANDSHAKE_ANSWER = '{}\u001e';

/** Resolves when the handshake has been answered; from then on nothing is read. */
export function openStalledPage(port: number, token: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        [
          `GET /chathub?access_token=${token} HTTP/1.1`,
          'Host: 127.0.0.1',
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
          '\r\n',
        ].join('\r\n'),
      );
    });
    let read = '';
    let isUpgraded = false;
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`The connection ended: ${read}`)));
    socket.on('data', (chunk) => {
      read += chunk.toString('latin1');
      if (!isUpgraded && read.includes('\r\n\r\n')) {
        isUpgraded = true;
        socket.write(maskedTextFrame(HANDSHAKE));
      }
      if (!read.includes(HANDSHAKE_ANSWER)) return;
      socket.pause();
      resolve(socket);
    });
  });
}

/** A short text frame as clients send it (RFC 6455, section 5.2). */
function maskedTextFrame(payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const masked = payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, masked]);
}
