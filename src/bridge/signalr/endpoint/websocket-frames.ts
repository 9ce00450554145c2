/**
 * Server-to-client WebSocket frames (RFC 6455 section 5.2). They are not masked and nothing is compressed, so the bytes are the
 * same for every receiver and one buffer can be written to many sockets.
 */
import type { Chunk } from './batch.ts';

const FINAL_TEXT = 0x81;
const FINAL_BINARY = 0x82;
const FINAL_PING = 0x89;

/** One message in one frame, header and payload in one buffer: a text message for text, which must be well-formed, else a binary one. */
export function dataFrame(content: Chunk): Buffer {
  if (typeof content === 'string') {
    const length = Buffer.byteLength(content);
    const { frame, headerLength } = emptyFrame(FINAL_TEXT, length);
    frame.write(content, headerLength);
    return frame;
  }
  const { frame, headerLength } = emptyFrame(FINAL_BINARY, content.length);
  content.copy(frame, headerLength);
  return frame;
}

/** A ping; `payload` is ASCII of at most 125 characters. */
export function pingFrame(payload: string): Buffer {
  const { frame, headerLength } = emptyFrame(FINAL_PING, payload.length);
  frame.write(payload, headerLength, 'latin1');
  return frame;
}

function emptyFrame(first: number, length: number): { readonly frame: Buffer; readonly headerLength: number } {
  const headerLength = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerLength + length);
  frame[0] = first;
  if (headerLength === 2) {
    frame[1] = length;
  } else if (headerLength === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2);
    frame.writeUInt32BE(length % 2 ** 32, 6);
  }
  return { frame, headerLength };
}
