/** Publishes what is stored and was not published: of a write whose answer was lost, or of an instance that died. */
import type { Broker } from '../core/ports.ts';
import type { Publisher } from '../core/publisher.ts';
import type { UnpublishedConversation } from '../store/mongo/journal.ts';

/** Conversations that are read side by side. */
const AT_ONCE = 16;

export interface UnpublishedDependencies {
  readonly publisher: Pick<Publisher, 'publishAgain' | 'publishDeletions' | 'published'>;
  readonly broker: Pick<Broker, 'endEpochs'>;
  /** Whether instances share the broker: then it knows what it has, and passes over it. */
  readonly isShared: boolean;
}

/** @returns whether the broker has taken it all. */
export async function publishUnpublished(
  { broker, isShared, publisher }: UnpublishedDependencies,
  conversations: readonly UnpublishedConversation[],
): Promise<boolean> {
  if (isShared) {
    const left = conversations.values();
    const work = async (): Promise<void> => {
      for (const { people, sinceMs } of left) await publisher.publishAgain(...people, sinceMs);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } else {
    // Messages that came again would stand behind later ones: the sessions read in the store what they lack.
    await broker.endEpochs([...new Set(conversations.flatMap(({ people }) => people))]);
  }
  await publisher.publishDeletions(conversations.flatMap(({ deleted }) => deleted));
  return publisher.published();
}
