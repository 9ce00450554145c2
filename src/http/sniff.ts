/**
 * Looks at the first bytes of a plain-text connection and puts them back: `PRI` begins the HTTP/2 connection preface
 * (RFC 9113 section 3.4) and no HTTP/1.1 request this server knows.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../time/clock.ts';

export interface SniffOptions {
  readonly clock: Clock;
  /** How long the first bytes may take, in milliseconds. */
  readonly sniffTimeoutMs: number;
}

export interface SniffTargets {
  readonly toHttp1: () => void;
  readonly toHttp2: () => void;
}

const MARK = Buffer.from('PRI');

/** Hands `socket` to one of the targets once its first bytes tell which; destroys it if they do not come in time. */
export function sniff(socket: Socket, options: SniffOptions, targets: SniffTargets): void {
  let held: Buffer = Buffer.alloc(0);
  const timer = options.clock.schedule(options.sniffTimeoutMs, () => socket.destroy());
  const onError = (): void => void socket.destroy();
  // HTTP servers keep half-open sockets; one that ended before it said anything is of no use.
  const onEnd = (): void => void socket.destroy();
  const onData = (chunk: Buffer): void => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const undecided = held.length < MARK.length && MARK.subarray(0, held.length).equals(held);
    if (undecided) return;
    done();
    socket.pause();
    socket.unshift(held);
    if (held.subarray(0, MARK.length).equals(MARK)) {
      // Not resumed: the HTTP/2 session reads what was put back by itself, and would lose it to a flowing socket.
      targets.toHttp2();
    } else {
      targets.toHttp1();
      socket.resume();
    }
  };
  const done = (): void => {
    timer.cancel();
    socket.off('data', onData);
    socket.off('error', onError);
    socket.off('end', onEnd);
    socket.off('close', done);
  };
  socket.on('data', onData);
  socket.on('error', onError);
  socket.on('end', onEnd);
  socket.on('close', done);
}
