/**
 * What a hub connection may lack when it has ended, or does not answer: everything since a time, except the messages that
 * it is proven to have. The cursors cannot tell, for they say what some device of the person has.
 */

export interface Gap {
  /** In the clock's wall milliseconds, as `Message.sentAtMs`. */
  readonly sinceMs: number;
  /** Ids of messages since then that the client is proven to have. Never all of them: a repeat is harmless. */
  readonly except: ReadonlySet<string>;
}

/** How long after its `sentAtMs` a message may come out of its commit and reach the connections, in milliseconds. */
export const COMMIT_MARGIN_MS = 1000;

/** What covers each of several gaps; undefined if there are none. */
export function coverAll(gaps: readonly Gap[]): Gap | undefined {
  const [first, ...others] = gaps;
  if (first === undefined) return undefined;
  return others.reduce(
    (merged, gap) => ({
      sinceMs: Math.min(merged.sinceMs, gap.sinceMs),
      except: merged.except.intersection(gap.except),
    }),
    first,
  );
}
