/**
 * The open HTTP/2 connections: told to go when the server drains, and pinged, so that one whose client vanished without a
 * word ends (and its streams with it) instead of living for ever.
 */
import type { Http2Session } from 'node:http2';
import type { Clock, Timer } from '../time/clock.ts';

export class Http2Sessions {
  readonly #clock: Clock;
  readonly #pingIntervalMs: number;
  /** Session → whether a ping is unanswered. */
  readonly #sessions = new Map<Http2Session, boolean>();
  #timer: Timer | undefined;

  /** @param pingIntervalMs how often each connection is pinged, and how long the answer may take, in milliseconds. */
  constructor(clock: Clock, pingIntervalMs: number) {
    this.#clock = clock;
    this.#pingIntervalMs = pingIntervalMs;
  }

  /** Follows a session until it closes. */
  add(session: Http2Session): void {
    this.#sessions.set(session, false);
    session.on('error', () => undefined);
    session.once('close', () => void this.#sessions.delete(session));
  }

  /** Begins to ping. */
  start(): void {
    this.#timer = this.#clock.schedule(this.#pingIntervalMs, () => {
      this.#pingAll();
      this.start();
    });
  }

  /** Sends GOAWAY to all; each ends when its streams have. */
  goAway(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  /** Ends all at once. */
  destroy(): void {
    this.#timer?.cancel();
    for (const session of this.#sessions.keys()) session.destroy();
  }

  #pingAll(): void {
    for (const [session, unanswered] of this.#sessions) {
      if (session.destroyed || session.closed) continue;
      if (unanswered) {
        session.destroy();
        continue;
      }
      const sent = session.ping((error) => {
        if (error === null && this.#sessions.has(session)) this.#sessions.set(session, false);
      });
      if (sent) this.#sessions.set(session, true);
    }
  }
}
