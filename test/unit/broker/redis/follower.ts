/**
 * A subscriber that does what a session does: it heals a gap or a doubt from the history and, where that proves nothing,
 * from the store, which here is the list of everything that was committed.
 */
import type { StreamPosition } from '../../../../src/core/events.ts';
import type { Broker, StreamEntry, StreamListener } from '../../../../src/core/ports.ts';

export class Follower implements StreamListener {
  /** Ids in the order they came, from the stream and the store. */
  readonly have: string[] = [];
  doubts = 0;
  storeReads = 0;
  readonly #broker: Broker;
  readonly #userId: string;
  readonly #store: readonly string[];
  /** Ids from the store that the stream may bring again, once. */
  readonly #replayed = new Set<string>();
  #position: StreamPosition = { epoch: '', offset: 0 };
  #healing = false;
  #again = false;

  constructor(broker: Broker, userId: string, store: readonly string[]) {
    this.#broker = broker;
    this.#userId = userId;
    this.#store = store;
  }

  async start(): Promise<() => void> {
    const stop = await this.#broker.subscribe(this.#userId, this);
    await this.#heal();
    return stop;
  }

  get position(): StreamPosition {
    return this.#position;
  }

  onEntry(entry: StreamEntry): void {
    const { epoch, offset } = entry.position;
    if (!this.#healing && epoch === this.#position.epoch && offset <= this.#position.offset) return;
    if (this.#healing || epoch !== this.#position.epoch || offset !== this.#position.offset + 1) void this.#heal();
    else this.#take(entry);
  }

  onTransient(): void {}

  onDoubt(): void {
    this.doubts += 1;
    void this.#heal();
  }

  #take(entry: StreamEntry): void {
    this.#position = entry.position;
    if (entry.event.type !== 'messageSent') return;
    const { id } = entry.event.message;
    if (!this.#replayed.delete(id)) this.have.push(id);
  }

  async #heal(): Promise<void> {
    if (this.#healing) {
      this.#again = true;
      return;
    }
    this.#healing = true;
    do {
      this.#again = false;
      try {
        const history = await this.#broker.readSince(this.#userId, this.#position, 1000);
        if (history.complete) for (const entry of history.entries) this.#take(entry);
        else {
          const top = await this.#broker.top(this.#userId);
          this.storeReads += 1;
          for (const id of this.#store) {
            if (this.have.includes(id)) continue;
            this.have.push(id);
            this.#replayed.add(id);
          }
          this.#position = top;
        }
      } catch {
        this.#again = true;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } while (this.#again);
    this.#healing = false;
  }
}
