/**
 * A process for the durability test to kill: writes to the store in its first argument as fast as it can and says on
 * stdout what was acknowledged, one JSON array per line, only after it was.
 */
import { GroupCommit } from '../../../../src/core/group-commit.ts';
import { newId } from '../../../../src/core/ids.ts';
import { openSqliteStore } from '../../../../src/store/sqlite/store.ts';

const [dataDir = '', round = ''] = process.argv.slice(2);
const store = await openSqliteStore({ dataDir });
const commits = new GroupCommit(store.messages, { maxBatch: 64 });
const say = (...fact: unknown[]): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

async function chatter(name: string): Promise<never> {
  for (let count = 0; ; count += 1) {
    const [senderId, receiverId] = count % 2 === 0 ? [name, 'hub'] : ['hub', name];
    const text = `${round}-${name}-${count}`;
    const id = newId(Date.now());
    const client = { clientMessageId: text, digest: text };
    const sent = await commits.submit({ type: 'append', id, senderId, receiverId, text, atMs: Date.now(), ...client });
    if (sent.type !== 'appended') throw new Error(`Not appended: ${sent.type}`);
    say('sent', name, sent.message.seq, text);
    const { seq: toSeq } = sent.message;
    const kind = count % 3 === 0 ? 'read' : 'delivered';
    const atMs = Date.now();
    const moved = await commits.submit({ type: 'advance', personId: receiverId, otherId: senderId, kind, toSeq, atMs });
    if (moved.type === 'advanced') say('moved', name, receiverId, kind, moved.current[kind]);
    if (count % 10 !== 9) continue;
    await commits.submit({ type: 'delete', messageId: id, atMs: Date.now() });
    say('deleted', name, sent.message.seq);
  }
}

say('open');
await Promise.all(Array.from({ length: 60 }, (_, index) => chatter(`user-${index}`)));
