/**
 * Whether this instance serves. Not serving has reasons (starting, draining, a part that is down); serving is the absence
 * of all of them. Listeners are told of every change of the answer.
 */
export type HealthReason = 'starting' | 'draining' | 'store';

export class Health {
  readonly #reasons = new Set<HealthReason>(['starting']);
  readonly #listeners = new Set<() => void>();

  /** The answer now. */
  status(): 'serving' | 'notServing' {
    return this.#reasons.size === 0 ? 'serving' : 'notServing';
  }

  /** Why not serving; empty while serving. */
  reasons(): readonly HealthReason[] {
    return [...this.#reasons];
  }

  /** Adds or takes away a reason. */
  set(reason: HealthReason, applies: boolean): void {
    const before = this.status();
    if (applies) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    if (before === this.status()) return;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` at every change of the answer. @returns a function that stops it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
