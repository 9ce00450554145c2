/** What a server that cannot be used is answered with at start: what to do, and never the password. */
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { openRedisBroker } from '../../../../src/broker/redis/broker.ts';
import { slotOf } from '../../../../src/broker/redis/names.ts';
import { ACL_PASSWORD, ACL_USER, freePort, RedisServer, redisSkipReason } from '../../../servers/redis-server.ts';

const closing: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of closing.splice(0)) await resource[Symbol.asyncDispose]();
});

const SECRET = 'not-to-be-printed';

/** Everything an operator could see of the failure. */
async function failure(url: string): Promise<string> {
  try {
    const broker = await openRedisBroker({ url, deadlineMs: 1000 });
    closing.push(broker);
  } catch (error) {
    const { name, message, stack, cause } = error as Error;
    const all = `${message} ${stack} ${cause} ${JSON.stringify(error)}`;
    expect(name).toBe('RedisStartError');
    for (const secret of [SECRET, ACL_PASSWORD, encodeURIComponent(ACL_PASSWORD)]) expect(all).not.toContain(secret);
    return message;
  }
  throw new Error('The broker opened');
}

test.each([
  `http://chat:${SECRET}@host`,
  `chat:${SECRET}@host`,
  `redis://chat:${SECRET}@`,
  `redis://chat:${SECRET}@host:99999`,
  `redis://chat:${SECRET}@host/name`,
  `redis://chat:${SECRET}%@host`,
  '',
])('an address that is none is refused (%#)', async (url) => {
  expect(await failure(url)).toContain('REDIS_URL');
});

test('a port where nobody listens is refused with the reason', async () => {
  const port = await freePort();
  const message = await failure(`redis://chat:${SECRET}@127.0.0.1:${port}`);
  expect(message).toContain(`127.0.0.1:${port} cannot be reached (ECONNREFUSED)`);
});

/** A server that answers every command with `reply`; undefined = never. */
async function fake(reply: (command: string) => string | undefined): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      for (const command of chunk.toString().split(/(?=\*\d+\r\n)/)) {
        const answer = reply(command);
        if (answer !== undefined) socket.write(answer);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push({
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

test('a server older than the command that greets it is called too old', async () => {
  const address = await fake(() => '-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n');
  expect(await failure(`redis://chat:${SECRET}@${address}`)).toContain('too old: 7.0 or later');
});

test('a server of version 6 is called too old', async () => {
  const info = 'redis_version:6.2.14\r\nredis_mode:standalone\r\n';
  const address = await fake((command) => {
    if (/HELLO/i.test(command)) return '%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n';
    return /INFO/.test(command) && !/SETINFO/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n';
  });
  expect(await failure(`redis://${address}`)).toBe('Redis 6.2.14 is too old: 7.0 or later is needed');
});

test('a server that never answers is given up', async () => {
  const address = await fake(() => undefined);
  expect(await failure(`redis://${address}`)).toContain('cannot be reached (no answer)');
});

test('the slot of a name is that of its hash tag', () => {
  // The examples of the Redis Cluster specification.
  expect(slotOf('123456789')).toBe(0x31c3);
  expect(slotOf('{user1000}.following')).toBe(slotOf('user1000'));
  expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'));
});

describe.skipIf(redisSkipReason !== undefined)(`A real server ${redisSkipReason ?? ''}`, () => {
  const of = (server: RedisServer, credentials: string): string => `redis://${credentials}@127.0.0.1:${server.port}`;

  async function start(config: readonly string[]): Promise<RedisServer> {
    const server = await RedisServer.start({ config });
    closing.push(server);
    return server;
  }

  test('wrong or missing credentials are refused', async () => {
    const server = await start(ACL_USER);
    expect(await failure(of(server, `chat:${SECRET}`))).toContain('refuses the credentials');
    expect(await failure(of(server, `nobody:${encodeURIComponent(ACL_PASSWORD)}`))).toContain(
      'refuses the credentials',
    );
    expect(await failure(server.url)).toContain('refuses the credentials');
  });

  test.each(['-info', '-spublish', '-ssubscribe', '-xadd', '-evalsha', '-script'])(
    'a user without a right that is needed (%s) is told to get it',
    async (right) => {
      const server = await start([...ACL_USER, right]);
      const message = await failure(of(server, `chat:${encodeURIComponent(ACL_PASSWORD)}`));
      expect(message).toContain('does not allow its user what is needed');
    },
  );

  test('a server without TLS says so when TLS is asked for', async () => {
    const server = await start([]);
    expect(await failure(`rediss://127.0.0.1:${server.port}`)).toMatch(/no TLS connection|cannot be reached/);
  });

  test('a replica is refused with a word about its master', async () => {
    const server = await start(['--replicaof', '127.0.0.1', `${await freePort()}`]);
    expect(await failure(server.url)).toMatch(/is a replica/);
  });
});
