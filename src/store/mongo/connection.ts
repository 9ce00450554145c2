/**
 * Opens the connection and finds out at the start what would otherwise go wrong later. Messages say what to do and never
 * hold the URI, which may carry a password.
 */
import {
  type Db,
  MongoClient,
  MongoError,
  MongoServerError,
  MongoServerSelectionError,
  ReadConcern,
  ReadPreference,
} from 'mongodb';

/** How long opening waits for a server, and a request for a primary, in milliseconds. */
const SERVER_SELECTION_TIMEOUT_MS = 5000;
/** A request without an answer, or without a connection, fails after this, in milliseconds. */
const SOCKET_TIMEOUT_MS = 10_000;
const OLDEST_MAJOR_VERSION = 5;
/** A secondary that was named alone, with `directConnection`. */
const NOT_WRITABLE_PRIMARY = 10_107;

export interface ConnectionOptions {
  readonly uri: string;
  readonly database: string;
  /** Tells the driver to report its commands. Default false. */
  readonly monitorCommands?: boolean;
  /** Default 5000 ms. */
  readonly serverSelectionTimeoutMs?: number;
  /** A request without an answer fails after this; 0 = never. Default 10,000 ms. */
  readonly socketTimeoutMs?: number;
}

/** The server cannot be used, and waiting will not change that; the message says what to do. */
export class UnusableServerError extends Error {
  override readonly name = 'UnusableServerError';
}

export interface Connection {
  readonly client: MongoClient;
  readonly database: Db;
}

/** @throws UnusableServerError, whose message says what to do. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  checkDatabaseName(options.database);
  const client = createClient(options);
  try {
    await client.connect();
    const database = databaseOf(client, options.database);
    await checkVersion(database);
    return { client, database };
  } catch (error) {
    await client.close();
    throw explain(error, options);
  }
}

/**
 * A database with the concerns that everything rests on: what is acknowledged is durable, and everybody reads it. They stand
 * here and not in the options of the client, which the URI may weaken by its own.
 */
export function databaseOf(client: MongoClient, name: string): Db {
  return client.db(name, {
    readPreference: ReadPreference.primary,
    readConcern: new ReadConcern('majority'),
    writeConcern: { w: 'majority', journal: true },
  });
}

function createClient(options: ConnectionOptions): MongoClient {
  try {
    return new MongoClient(options.uri, {
      appName: 'carepro-chat',
      serverSelectionTimeoutMS: options.serverSelectionTimeoutMs ?? SERVER_SELECTION_TIMEOUT_MS,
      socketTimeoutMS: options.socketTimeoutMs ?? SOCKET_TIMEOUT_MS,
      waitQueueTimeoutMS: SOCKET_TIMEOUT_MS,
      maxPoolSize: 50,
      retryWrites: true,
      retryReads: true,
      ignoreUndefined: true,
      monitorCommands: options.monitorCommands ?? false,
    });
  } catch {
    // The driver quotes parts of the URI.
    throw new UnusableServerError(
      'MONGODB_URI is not a connection string; expected mongodb://[user:password@]host[:port][,…]/[?options], with ' +
        'special characters in user and password percent-encoded',
    );
  }
}

function checkDatabaseName(name: string): void {
  if (name === '' || name.length > 63 || /[/\\. "$*<>:|?\0]/.test(name)) {
    throw new UnusableServerError('MONGODB_DATABASE is not a name of a database; expected letters, digits, - and _');
  }
}

async function checkVersion(database: Db): Promise<void> {
  const { version } = await database.admin().buildInfo();
  if (Number.parseInt(String(version), 10) >= OLDEST_MAJOR_VERSION) return;
  throw new UnusableServerError(
    `The server of MONGODB_URI is MongoDB ${String(version)}; version ${OLDEST_MAJOR_VERSION}.0 or later is needed, upgrade it`,
  );
}

/** What an operator can do about a failure at the start. The original is left out: it may hold what was configured. */
export function explain(error: unknown, { database }: { readonly database: string }): Error {
  if (error instanceof UnusableServerError || !(error instanceof MongoError)) return asError(error);
  const code = error instanceof MongoServerError ? Number(error.code) : undefined;
  // The message of a selection that failed names hosts.
  const isRefused = /authenticat|bad auth/i.test(error.message) && !(error instanceof MongoServerSelectionError);
  if (code === 18 || (code !== 13 && isRefused)) {
    return new UnusableServerError(
      'The server of MONGODB_URI refused user or password; check both, and authSource if the user is of another database',
    );
  }
  if (code === 13) {
    return new UnusableServerError(
      `The user of MONGODB_URI may not do what is needed in database ${database}; give it the role dbOwner there, or ` +
        'readWrite together with the rights createCollection, createIndex and collMod',
    );
  }
  if (/wire version|requires at least|minimum wire/i.test(error.message)) {
    return new UnusableServerError(
      `The server of MONGODB_URI is too old; MongoDB ${OLDEST_MAJOR_VERSION}.0 or later is needed, upgrade it`,
    );
  }
  if (error instanceof MongoServerSelectionError || code === NOT_WRITABLE_PRIMARY) {
    return new UnusableServerError(
      'No server of MONGODB_URI can be written to: check host, port, network and TLS, the name in replicaSet, and that ' +
        'the replica set has a primary',
    );
  }
  return new UnusableServerError(
    `The server of MONGODB_URI failed (${error.name}${code === undefined ? '' : ` ${code}`})`,
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
