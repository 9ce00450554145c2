/** One server, one port: whoever sends through whichever door, everybody sees the same. */
import { afterAll, beforeAll, describe } from 'vitest';
import { describeDoors } from './support/door-suite.ts';
import { startServer, type TestServer } from './support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ PRESENCE_GRACE_MS: '50' });
});
afterAll(() => server[Symbol.asyncDispose]());

describe('On one port', () => {
  describeDoors(() => server.url);
});
