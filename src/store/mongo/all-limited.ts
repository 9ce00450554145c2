/** Runs something for every item, at most `limit` at once; rejects with the first failure once none runs any more. */
export async function allLimited<T>(items: Iterable<T>, limit: number, run: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await run(next.value);
  };
  const results = await Promise.allSettled(Array.from({ length: limit }, work));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
