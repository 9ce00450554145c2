import { describe, expect, test } from 'vitest';
import type { Appended } from '../../../../src/core/ports.ts';
import { message, temporaryStore } from './temporary-store.ts';

describe('more conversations than the writer keeps in memory', () => {
  test('go on where they were, in the right order on the list', { timeout: 60_000 }, async () => {
    const { close, store } = await temporaryStore();
    const count = 10_000;
    const others = Array.from({ length: count }, (_, index) => `user-${index}`);
    for (const round of [1, 2, 3]) {
      for (let from = 0; from < count; from += 1000) {
        const slice = others.slice(from, from + 1000);
        const outcomes = await store.messages.write(slice.map((receiverId) => message(`${round}`, { receiverId })));
        for (const outcome of outcomes) expect((outcome as Appended).message.seq).toBe(round);
      }
    }
    const seen: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await store.messages.listConversations('ann', { limit: 200, ...(after !== undefined && { after }) });
      seen.push(...page.conversations.map((view) => view.otherId));
      after = page.next;
      if (after === undefined) break;
    }
    expect(seen).toEqual(others.toReversed());
    expect(await store.messages.listPartners('ann', 3)).toEqual(['user-9999', 'user-9998', 'user-9997']);
    await close();
  });
});
