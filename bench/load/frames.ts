/**
 * WebSocket frames (RFC 6455) as far as a load generator needs them: whole masked frames out, data, ping and close
 * frames in. Not a client for anything else: it trusts the server.
 */

/** A real mask: servers may take a short cut for a mask of zeros. One for all is enough for a load. */
const MASK = [0x37, 0xfa, 0x21, 0x3d] as const;

/** A masked frame with that text, which must be ASCII. */
export function textFrame(text: string): Buffer {
  return maskedFrame(0x1, Buffer.from(text, 'latin1'));
}

/** A masked frame with those bytes. */
export function binaryFrame(payload: Buffer): Buffer {
  return maskedFrame(0x2, payload);
}

/** The answer to a ping. */
export function pongFrame(payload: Buffer): Buffer {
  return maskedFrame(0xa, Buffer.from(payload));
}

function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const short = length < 126;
  if (length > 0xffff) throw new RangeError('a load generator sends short frames');
  const start = short ? 6 : 8;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (short ? length : 126);
  if (!short) frame.writeUInt16BE(length, 2);
  for (let i = 0; i < 4; i++) frame[start - 4 + i] = MASK[i & 3] ?? 0;
  for (let i = 0; i < length; i++) frame[start + i] = (payload[i] ?? 0) ^ (MASK[i & 3] ?? 0);
  return frame;
}

export interface FrameListener {
  /** Payload of a text, binary or continuation frame; valid only during the call. */
  onData(payload: Buffer): void;
  onPing(payload: Buffer): void;
  onClose(): void;
}

/** Cuts a byte stream into the server's (unmasked) frames. */
export class FrameReader {
  readonly #listener: FrameListener;
  #rest: Buffer | undefined;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  push(chunk: Buffer): void {
    const data = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    while (data.length - offset >= 2) {
      const opcode = (data[offset] ?? 0) & 0x0f;
      let length = (data[offset + 1] ?? 0) & 0x7f;
      let start = offset + 2;
      if (length === 126) {
        if (data.length - offset < 4) break;
        length = data.readUInt16BE(start);
        start += 2;
      } else if (length === 127) {
        if (data.length - offset < 10) break;
        length = Number(data.readBigUInt64BE(start));
        start += 8;
      }
      if (data.length < start + length) break;
      offset = start + length;
      const payload = data.subarray(start, offset);
      if (opcode === 0x9) this.#listener.onPing(payload);
      else if (opcode === 0x8) this.#listener.onClose();
      else if (opcode !== 0xa) this.#listener.onData(payload);
    }
    this.#rest = offset === data.length ? undefined : data.subarray(offset);
  }
}
