/**
 * Publishes what was committed. It never fails the caller: the message is in the store, and that is what was promised.
 * When the broker refuses, the local sessions of the users are told to read again, and metrics count it.
 */
import type { StreamEvent, TransientEvent } from './events.ts';
import type { Metrics } from './metrics.ts';
import type { Broker } from './ports.ts';

export interface PublishFailureListener {
  /** The broker did not take events of these users. */
  onPublishFailed(userIds: readonly string[], error: unknown): void;
}

export class Publisher {
  readonly #broker: Broker;
  readonly #metrics: Metrics;
  readonly #failures: PublishFailureListener;

  constructor(broker: Broker, metrics: Metrics, failures: PublishFailureListener) {
    this.#broker = broker;
    this.#metrics = metrics;
    this.#failures = failures;
  }

  /** Appends `event` to the stream of each of `userIds` (duplicates count once) and publishes it. */
  publish(event: StreamEvent, ...userIds: readonly string[]): void {
    const targets = userIds.length === 2 && userIds[0] === userIds[1] ? userIds.slice(0, 1) : userIds;
    this.#broker.append(targets.map((userId) => ({ userId, event }))).catch((error: unknown) => {
      this.#metrics.count('chat_publish_failures_total');
      this.#failures.onPublishFailed(targets, error);
    });
  }

  /** Tells the connected sessions of one user. */
  signal(event: TransientEvent, userId: string): void {
    this.#broker.publishToUser(userId, event).catch(() => this.#metrics.count('chat_publish_failures_total'));
  }
}
