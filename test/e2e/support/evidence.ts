/** What the store of a running server knows of a user's devices. No door tells it; tests must wait for it. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const PENDING = `
  SELECT count(*) AS pending FROM message
  JOIN conversation ON conversation.key = message.conversation
  JOIN person ON person.id = ?
  WHERE (low = person.key AND sender = 1 AND seq > low_received)
     OR (high = person.key AND sender = 0 AND seq > high_received)`;

/** How many messages to this user no device is known to have: those that the next hub connection would be replayed. */
export function pendingFor(dataDir: string, userId: string): number {
  const database = new DatabaseSync(join(dataDir, 'chat.sqlite'), { readOnly: true, timeout: 1000 });
  try {
    return Number(database.prepare(PENDING).get(userId)?.pending);
  } finally {
    database.close();
  }
}

/** Keeps the store from committing until it is disposed. The server gives up on a commit after half a second. */
export function holdCommits(dataDir: string): Disposable {
  const database = new DatabaseSync(join(dataDir, 'chat.sqlite'), { timeout: 5000 });
  database.exec('BEGIN IMMEDIATE');
  return {
    [Symbol.dispose]() {
      database.exec('ROLLBACK');
      database.close();
    },
  };
}
