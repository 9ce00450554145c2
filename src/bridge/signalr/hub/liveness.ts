/**
 * When one connection must be pinged, and when its peer counts as gone. No timer: the server's sweep asks once a second for all
 * connections, as the reference does. What happens in between only sets a flag, so that a message costs no look at the clock.
 *
 * Times are whole milliseconds of the monotonic clock; small integers need no memory of their own.
 */

import type { Transport } from '../endpoint/transport.ts';
import type { HubOptions } from './options.ts';

export class Liveness {
  #pingedAtMs: number;
  #heardAtMs: number;
  #hasHeard = false;
  #isClientPinging = false;
  #stalledSinceMs = -1;
  #takenBytes = 0;

  constructor(nowMs: number) {
    this.#pingedAtMs = nowMs;
    this.#heardAtMs = nowMs;
  }

  /** There is a new transport: nothing is held against the client that was on the old one. */
  restart(nowMs: number): void {
    this.#pingedAtMs = nowMs;
    this.#heardAtMs = nowMs;
    this.#stalledSinceMs = -1;
  }

  /** Something came from the client. */
  onData(): void {
    this.#hasHeard = true;
  }

  /** The client has sent a hub Ping: from now on its silence counts. */
  onPing(): void {
    this.#isClientPinging = true;
  }

  /** Whether a Ping is due. Its time is counted from the last one, whatever else was sent (transcript 40). */
  isPingDue(nowMs: number, options: HubOptions): boolean {
    if (nowMs - this.#pingedAtMs < options.keepAliveIntervalMs) return false;
    this.#pingedAtMs = nowMs;
    return true;
  }

  /**
   * Whether the client has been silent too long. While `isExcused` its silence does not count: it cannot be heard, or waits. A client that
   * never pings need not say anything where its polls tell that it lives.
   */
  isSilent(nowMs: number, options: HubOptions, transport: Transport, isExcused: boolean): boolean {
    if (this.#hasHeard || isExcused) {
      this.#hasHeard = false;
      this.#heardAtMs = nowMs;
    }
    const counts = this.#isClientPinging || (options.timesOutSilentClients && transport.wantsPings);
    return counts && nowMs - this.#heardAtMs >= options.clientTimeoutMs;
  }

  /** Whether the peer has taken nothing for the send timeout although something waits for it. */
  isStalled(nowMs: number, options: HubOptions, transport: Transport): boolean {
    if (transport.bufferedBytes === 0) {
      this.#stalledSinceMs = -1;
      return false;
    }
    const { takenBytes } = transport;
    if (this.#stalledSinceMs === -1 || takenBytes !== this.#takenBytes) {
      this.#stalledSinceMs = nowMs;
      this.#takenBytes = takenBytes;
      return false;
    }
    return nowMs - this.#stalledSinceMs >= options.sendTimeoutMs;
  }
}
