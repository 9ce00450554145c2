/** Opens many things, a few at a time. */

/** What `open` answers for each item, in their order; at most `concurrency` are being opened at a time. */
export async function openEach<I, T>(
  items: readonly I[],
  concurrency: number,
  open: (item: I) => Promise<T>,
): Promise<T[]> {
  const opened: T[] = new Array(items.length);
  const left = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) opened[index] = await open(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return opened;
}
