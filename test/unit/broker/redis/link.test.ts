import { expect, test, vi } from 'vitest';
import { Link } from '../../../../src/broker/redis/link.ts';
import { systemClock } from '../../../../src/time/clock.ts';
import { RedisServer, redisSkipReason } from '../../../servers/redis-server.ts';

test.skipIf(redisSkipReason !== undefined)('a connection that is given up while it begins is closed', async () => {
  await using server = await RedisServer.start();
  const options = { socket: { host: '127.0.0.1', port: server.port }, maintNotifications: 'disabled' } as const;
  const link = new Link(
    options,
    systemClock,
    { deadlineMs: 1000, pingMs: 1000 },
    {
      prepare: () => Promise.resolve(link.restart(new Error('not a master any more'))),
      onUp: () => undefined,
      onDown: () => undefined,
      onError: () => undefined,
    },
  );
  await expect(link.connect()).rejects.toThrow('lost while it began');
  expect(link.client).toBeUndefined();
  await vi.waitFor(async () => expect(await server.use((client) => client.clientList())).toHaveLength(1));
  link.close();
});
