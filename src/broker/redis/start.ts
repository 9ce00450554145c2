/**
 * What is checked before the broker serves: the address, that the server can be reached and lets us in, its version, and
 * that everything needed is allowed. Every failure becomes one error that says what to do and never shows a password.
 */
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../../time/clock.ts';
import { type ClientOptions, Link, type LinkTimes } from './link.ts';

/** The Redis server cannot be used. The message says what to do; it is safe to print. */
export class RedisStartError extends Error {
  override readonly name = 'RedisStartError';
}

export type TlsTrust = Pick<ConnectionOptions, 'ca' | 'servername' | 'cert' | 'key'>;

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly client: ClientOptions;
}

/** Sharded pub/sub and script flags came with it. */
const OLDEST_MAJOR = 7;

const RIGHTS = '~<prefix>* &<prefix>* +@read +@write +@pubsub +@connection +@scripting +info +time +cluster|slots';

/** @throws RedisStartError if the text is no address of a Redis server. */
export function parseAddress(text: string, tls?: TlsTrust): RedisAddress {
  // The parser's own error carries its input, password included.
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const secure = url?.protocol === 'rediss:';
  if (url === undefined || (!secure && url.protocol !== 'redis:') || url.hostname === '') {
    throw new RedisStartError('REDIS_URL must look like redis://user:password@host:6379 or rediss://… for TLS');
  }
  const database = url.pathname.replace('/', '');
  if (!/^\d*$/.test(database)) throw new RedisStartError('The path of REDIS_URL must be the number of a database');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? 6379 : Number(url.port);
  const [username, password] = [decode(url.username), decode(url.password)];
  const socket = secure ? { host, port, tls: true as const, ...tls } : { host, port };
  const client = {
    socket,
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(database !== '' && { database: Number(database) }),
    maintNotifications: 'disabled',
  } as ClientOptions;
  return { host, port, client };
}

/** Whether the server is one of a Redis Cluster. @throws RedisStartError if it cannot be reached, refuses or is too old. */
export async function inspectServer(
  address: RedisAddress,
  clock: Clock,
  times: LinkTimes,
): Promise<{ readonly cluster: boolean }> {
  let info = '';
  const link = new Link(address.client, clock, times, {
    prepare: async (client) => {
      info = await client.info('server');
    },
    onUp: () => undefined,
    onDown: () => undefined,
    onError: () => undefined,
  });
  try {
    await trial(address, () => link.connect());
  } finally {
    link.close();
  }
  const version = /^redis_version:(\S+)/m.exec(info)?.[1] ?? 'unknown';
  if (!(Number.parseInt(version, 10) >= OLDEST_MAJOR)) throw tooOld(version);
  return { cluster: /^redis_mode:cluster/m.test(info) };
}

/** Runs what a server may refuse. @throws RedisStartError in place of whatever it failed with. */
export async function trial<T>(address: RedisAddress, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof RedisStartError ? error : explain(error, `${address.host}:${address.port}`);
  }
}

function explain(error: unknown, server: string): RedisStartError {
  const text = error instanceof Error ? error.message : '';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/WRONGPASS|NOAUTH|invalid password|without any password/i.test(text)) {
    return new RedisStartError(`Redis at ${server} refuses the credentials: check user and password in REDIS_URL`);
  }
  if (/NOPERM|ACL failure|No permissions|can't (access|run)/i.test(text)) {
    const command = /'([\w|]{1,30})' command/.exec(text)?.[1];
    const what = command === undefined ? '' : ` (${command})`;
    return new RedisStartError(`Redis at ${server} does not allow its user what is needed${what}: grant ${RIGHTS}`);
  }
  if (/unknown command|ERR unsupported|unknown Redis command/i.test(text)) return tooOld('without a command it needs');
  if (/^OOM/.test(text)) return new RedisStartError(`Redis at ${server} is out of memory: raise maxmemory`);
  if (/CLUSTERDOWN/.test(text)) return new RedisStartError(`The Redis cluster at ${server} is down`);
  if (/^(READONLY|MASTERDOWN)/.test(text))
    return new RedisStartError(`Redis at ${server} is a replica: name its master`);
  if (/^LOADING/.test(text)) return new RedisStartError(`Redis at ${server} is still loading its data: try again`);
  if (/SELECT is not allowed|DB index/i.test(text))
    return new RedisStartError(`Redis at ${server} has no such database`);
  if (/cert|self.signed|TLS|SSL|EPROTO/i.test(`${code} ${text}`)) {
    return new RedisStartError(
      `Redis at ${server}: no TLS connection (${code || 'refused'}); check certificate and scheme`,
    );
  }
  const why = code !== '' ? code : /did not answer|timeout/i.test(text) ? 'no answer' : 'the connection was closed';
  return new RedisStartError(`Redis at ${server} cannot be reached (${why}): check REDIS_URL and that it runs`);
}

function tooOld(version: string): RedisStartError {
  return new RedisStartError(`Redis ${version} is too old: ${OLDEST_MAJOR}.0 or later is needed`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RedisStartError('User or password in REDIS_URL are not percent-encoded correctly');
  }
}
