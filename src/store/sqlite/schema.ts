/**
 * Tables, and how a file of an older version becomes one of this version. `user_version` counts the migrations that ran;
 * each runs in its own transaction, together with its count.
 */
import type { Database } from './database.ts';

/** Marks the file as ours (`application_id`): "CPCH". */
const APPLICATION_ID = 0x43504348;

/**
 * `person`, `conversation`: integer keys keep the keys of messages and indexes small. In a conversation `low` is the
 * person with the smaller key. Per person: `_sent` = seq of the own last message, `_received`, `_delivered`, `_read` =
 * cursors, `_activity` = the conversation's place in that person's `inbox` (0 = none).
 *
 * `message.sender`: 0 = low, 1 = high. `ordinal` counts the sender's messages up to this one, so that how many messages
 * of either person lie above a seq is known without counting them.
 *
 * `message.id`, `client_message.client_id`: see id-codec.ts. `unread`: conversations with a message of the other person above the read cursor.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE person (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;

  CREATE TABLE conversation (
    key INTEGER PRIMARY KEY,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    low_count INTEGER NOT NULL,
    low_sent INTEGER NOT NULL,
    low_received INTEGER NOT NULL,
    low_delivered INTEGER NOT NULL,
    low_read INTEGER NOT NULL,
    low_activity INTEGER NOT NULL,
    high_sent INTEGER NOT NULL,
    high_received INTEGER NOT NULL,
    high_delivered INTEGER NOT NULL,
    high_read INTEGER NOT NULL,
    high_activity INTEGER NOT NULL,
    moves TEXT NOT NULL,
    UNIQUE (low, high)
  ) STRICT;

  CREATE TABLE message (
    conversation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id ANY NOT NULL,
    sender INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    sent_at_ms INTEGER NOT NULL,
    without_id INTEGER NOT NULL,
    deleted_at_ms INTEGER,
    text TEXT NOT NULL,
    PRIMARY KEY (conversation, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX message_id ON message (id);
  CREATE INDEX message_tombstone ON message (conversation, sender, seq) WHERE deleted_at_ms IS NOT NULL;

  CREATE TABLE client_message (
    sender INTEGER NOT NULL,
    client_id ANY NOT NULL,
    conversation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (sender, client_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE cursor_move (
    conversation INTEGER NOT NULL,
    track INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (conversation, track, to_seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE inbox (
    person INTEGER NOT NULL,
    activity INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    PRIMARY KEY (person, activity)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE unread (
    person INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    PRIMARY KEY (person, conversation)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE profile (
    user_id TEXT PRIMARY KEY,
    name TEXT,
    email TEXT,
    avatar_url TEXT,
    role TEXT
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE lease (
    key INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL UNIQUE,
    until_ms INTEGER NOT NULL,
    renewed_at_ms INTEGER,
    previous_sign_ms INTEGER
  ) STRICT;

  CREATE TABLE connection (
    user_id TEXT NOT NULL,
    instance INTEGER NOT NULL,
    connection_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    linger_until_ms INTEGER,
    PRIMARY KEY (user_id, instance, connection_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX connection_instance ON connection (instance);
  CREATE INDEX connection_linger ON connection (linger_until_ms) WHERE linger_until_ms IS NOT NULL;

  CREATE TABLE last_seen (user_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `,
];

/** The schema this version writes and reads. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** The file cannot be used, and waiting will not change that; the message says what to do. */
export class UnusableFileError extends Error {
  override readonly name = 'UnusableFileError';
}

/**
 * Brings the file to `SCHEMA_VERSION`. Sets WAL with a full sync at each commit.
 * @throws UnusableFileError for a file of another program, or of a newer version; else the driver's.
 */
export function prepareFile(database: Database): void {
  checkOwner(database);
  if (database.scalar('PRAGMA journal_mode = WAL') !== 'wal') {
    throw new UnusableFileError('The file system of DATA_DIR cannot hold a write-ahead log; choose another DATA_DIR');
  }
  database.exec('PRAGMA synchronous = FULL');
  for (let version = versionOf(database); version < SCHEMA_VERSION; version = versionOf(database)) {
    migrate(database, version);
  }
}

/** @throws UnusableFileError if the file does not have this version's schema. */
export function checkFile(database: Database): void {
  checkOwner(database);
  if (versionOf(database) !== SCHEMA_VERSION) throw new UnusableFileError('chat.sqlite in DATA_DIR changed its schema');
}

function checkOwner(database: Database): void {
  const owner = database.scalar('PRAGMA application_id');
  if (owner !== APPLICATION_ID && database.scalar('SELECT count(*) FROM sqlite_schema') !== 0) {
    throw new UnusableFileError(
      'chat.sqlite in DATA_DIR belongs to another program; move it away or choose another DATA_DIR',
    );
  }
  const version = versionOf(database);
  if (version > SCHEMA_VERSION) {
    throw new UnusableFileError(
      `chat.sqlite in DATA_DIR has schema ${version}, this version of the server knows ${SCHEMA_VERSION}; ` +
        'start the newer version, or restore a backup from before the upgrade',
    );
  }
}

function migrate(database: Database, version: number): void {
  database.beginWrite();
  try {
    database.exec(`${MIGRATIONS[version] ?? ''};
      PRAGMA application_id = ${APPLICATION_ID};
      PRAGMA user_version = ${version + 1};`);
    database.commit();
  } catch (error) {
    database.rollback();
    throw error;
  }
}

function versionOf(database: Database): number {
  return Number(database.scalar('PRAGMA user_version'));
}
