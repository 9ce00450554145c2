/** What must not outlive the bench, however it ends: servers and data folders of a run that was interrupted. */

const pending = new Set<() => void>();

/** Has `cleanUp`, which must be synchronous, called if the process exits before the returned function was called. */
export function unlessDone(cleanUp: () => void): () => void {
  if (pending.size === 0 && process.listenerCount('exit', cleanUpAll) === 0) process.once('exit', cleanUpAll);
  pending.add(cleanUp);
  return () => {
    pending.delete(cleanUp);
  };
}

/** Makes an interruption an orderly exit, so that the above happens. */
export function exitOnSignals(): void {
  const SIGNAL_EXIT = 128;
  process.once('SIGINT', () => process.exit(SIGNAL_EXIT + 2));
  process.once('SIGTERM', () => process.exit(SIGNAL_EXIT + 15));
}

function cleanUpAll(): void {
  for (const cleanUp of pending) {
    try {
      cleanUp();
    } catch {
      // The others still get their turn.
    }
  }
}
