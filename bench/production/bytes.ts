/** How many bytes a message takes in MongoDB: the documents that are there because of it, and their index keys. */
import { BSON, type Db, type Document } from 'mongodb';
import { COLLECTIONS, type CollectionName } from '../../src/store/mongo/schema.ts';
import type { MongoServerKind } from '../../test/servers/mongo-servers.ts';
import type { Figure } from '../figures.ts';

const SAMPLE = 1000;
/** What an index entry has beside its key: the place of the document. */
const RECORD_ID_BYTES = 8;

/** Collections that have documents of their own for a message that was sent with a client id, and acknowledged. */
const PER_MESSAGE: readonly CollectionName[] = ['messages', 'places', 'client_ids'];

export async function bytesPerMessage(database: Db, kind: MongoServerKind): Promise<Figure[]> {
  const figures: Figure[] = [];
  let sum = 0;
  const add = (id: string, label: string, ours: number): void => {
    figures.push({ id: `production.bytes.${id}`, label, unit: 'B', ours: Math.round(ours), charted: false });
  };
  for (const name of PER_MESSAGE) {
    const { documents, keys } = await sizesOf(database, name);
    sum += documents + keys;
    add(name, `${name}: a document and its index keys`, documents + keys);
  }
  add('message', 'bytes that a message adds (documents and index keys)', sum);
  const row = await sizesOf(database, 'rows');
  add('conversation', 'bytes of a conversation (two rows with index keys)', 2 * (row.documents + row.keys));
  const move = await sizesOf(database, 'moves');
  add('move', 'bytes of a cursor move with index keys', move.documents + move.keys);
  const stats = await database.command({ collStats: 'messages' }).catch((): Document => ({}));
  if (Number(stats.storageSize) > 0 && Number(stats.count) > 0) {
    add(
      'stored',
      `${kind} itself says of messages: storage and indexes each`,
      storedBytes(stats) / Number(stats.count),
    );
  }
  return figures;
}

function storedBytes(stats: Document): number {
  return Number(stats.storageSize) + Number(stats.totalIndexSize ?? 0);
}

/** Mean bytes of a document and of its keys in all indexes. */
async function sizesOf(database: Db, name: CollectionName): Promise<{ documents: number; keys: number }> {
  const sample = await database.collection(name).find().limit(SAMPLE).toArray();
  if (sample.length === 0) return { documents: 0, keys: 0 };
  const indexes = [{ _id: 1 }, ...COLLECTIONS[name].indexes.map(({ key }) => key)];
  let documents = 0;
  let keys = 0;
  for (const document of sample) {
    documents += BSON.calculateObjectSize(document);
    for (const index of indexes) {
      keys += Object.keys(index).reduce((total, field) => total + valueBytes(document[field]), RECORD_ID_BYTES);
    }
  }
  return { documents: documents / sample.length, keys: keys / sample.length };
}

/** A value in a key: its BSON without the name. */
function valueBytes(value: unknown): number {
  const nameAndFrame = BSON.calculateObjectSize({}) + 2;
  return BSON.calculateObjectSize({ '': value }) - nameAndFrame + 1;
}
