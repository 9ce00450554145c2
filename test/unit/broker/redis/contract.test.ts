/** The broker contract on real servers: alone, with TLS and an ACL user of few rights, and a cluster of three. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe } from 'vitest';
import { openRedisBroker, type RedisBrokerOptions } from '../../../../src/broker/redis/broker.ts';
import { describeBroker, type OpenBroker } from '../../../contract/broker.contract.ts';
import { describeBrokerEpochs } from '../../../contract/broker-epochs.contract.ts';
import { describeBrokerGaps } from '../../../contract/broker-gaps.contract.ts';
import {
  ACL_PASSWORD,
  ACL_USER,
  RedisServer,
  redisSkipReason,
  startCluster,
  TLS_CA,
} from '../../../servers/redis-server.ts';

const MAX_AGE_MS = 3000;

async function open(options: Pick<RedisBrokerOptions, 'url' | 'tls'>): Promise<OpenBroker> {
  // One server for the whole suite: every test has names of its own.
  const prefix = `carepro_${randomBytes(6).toString('hex')}_`;
  const broker = await openRedisBroker({ ...options, prefix, maxEvents: 50, maxAgeMs: MAX_AGE_MS });
  return {
    broker,
    maxEvents: 50,
    // The server's own clock counts.
    expireHistory: () => new Promise((resolve) => setTimeout(resolve, MAX_AGE_MS + 20)),
    close: () => broker[Symbol.asyncDispose](),
  };
}

describe.skipIf(redisSkipReason !== undefined)(
  `Redis${redisSkipReason === undefined ? '' : ` (${redisSkipReason})`}`,
  () => {
    const given = process.env.REDIS_URL;

    describe(given === undefined ? 'one server' : 'the server of REDIS_URL', () => {
      let server: RedisServer | undefined;
      beforeAll(async () => {
        if (given === undefined) server = await RedisServer.start();
      });
      afterAll(() => server?.[Symbol.asyncDispose]());
      const url = (): string => given ?? server?.url ?? '';
      describeBroker('RedisBroker', () => open({ url: url() }));
      describeBrokerEpochs('RedisBroker', () => open({ url: url() }));
      describeBrokerGaps('RedisBroker', () => open({ url: url() }));
    });

    describe('a server with TLS and an ACL user', () => {
      let server: RedisServer;
      beforeAll(async () => {
        server = await RedisServer.start({ tls: true, config: ACL_USER });
      });
      afterAll(() => server[Symbol.asyncDispose]());
      const secure = () => ({
        url: `rediss://chat:${encodeURIComponent(ACL_PASSWORD)}@127.0.0.1:${server.port}`,
        tls: { ca: readFileSync(TLS_CA) },
      });
      describeBroker('RedisBroker', () => open(secure()));
      describeBrokerGaps('RedisBroker', () => open(secure()));
    });

    describe('a cluster of three', () => {
      let cluster: Awaited<ReturnType<typeof startCluster>>;
      beforeAll(async () => {
        cluster = await startCluster();
      });
      afterAll(() => cluster[Symbol.asyncDispose]());
      describeBroker('RedisBroker', () => open({ url: cluster.servers[0]?.url ?? '' }));
      describeBrokerEpochs('RedisBroker', () => open({ url: cluster.servers[0]?.url ?? '' }));
      describeBrokerGaps('RedisBroker', () => open({ url: cluster.servers[0]?.url ?? '' }));
    });
  },
);
