/**
 * Server-to-client WebSocket frames (RFC 6455 section 5.2). They are not masked and nothing is compressed, so the bytes are the
 * same for every receiver and one buffer can be written to many sockets.
 */

const FINAL_TEXT = 0x81;
const FINAL_PING = 0x89;

/** One text message in one frame, header and payload in one buffer. `text` must be well-formed. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const headerLength = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerLength + length);
  frame[0] = FINAL_TEXT;
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
  frame.write(text, headerLength);
  return frame;
}

/** A ping; `payload` is ASCII of at most 125 characters. */
export function pingFrame(payload: string): Buffer {
  const frame = Buffer.allocUnsafe(2 + payload.length);
  frame[0] = FINAL_PING;
  frame[1] = payload.length;
  frame.write(payload, 2, 'latin1');
  return frame;
}
