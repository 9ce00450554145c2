/** The first minutes with the project: clone, start, try, and the mistakes that people make. */
import { spawnSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCHEMA } from '../../src/config/schema.ts';
import { EventFeed } from './support/event-feed.ts';
import { Clone, newcomerProblem } from './support/newcomer.ts';
import { typedClient } from './support/rpc-clients.ts';
import { freePort, startProcess, temporaryFolder, testEnv } from './support/server.ts';

const problem = newcomerProblem();
const root = join(import.meta.dirname, '../..');

describe(`Somebody who clones the project${problem === undefined ? '' : ` (skipped: ${problem})`}`, () => {
  let clone: Clone;
  beforeAll(async () => {
    if (problem === undefined) clone = await Clone.make();
  });
  afterAll(() => clone?.[Symbol.asyncDispose]());

  it.skipIf(problem !== undefined)('starts it with one command and sends a message as it is printed', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const output = await clone.start({ PORT: String(port) });
    expect(output).toContain(`ready on ${url}`);
    expect(output).toContain('NO KEY IS CONFIGURED');
    const token = /^ey[\w-]+\.[\w-]+\.[\w-]+$/m.exec(output)?.[0] ?? '';
    using alice = typedClient(url, token);
    expect((await alice.chat.getUnreadCounts({})).total).toBe(0);

    const bobToken = await clone.run('npm', ['run', '--silent', 'token', '--', '--user', 'bob', '--ttl', '5m']);
    expect(bobToken).toMatchObject({ exitCode: 0, stderr: '' });
    using bob = typedClient(url, bobToken.stdout.trim());
    await using feed = await EventFeed.open(bob.chat, 'streamEvents');

    const printed = /^ {2}TOKEN=[\s\S]*?-d '.*'$/m.exec(output)?.[0] ?? '';
    const tried = await clone.run('sh', ['-c', printed]);
    expect(tried).toMatchObject({ exitCode: 0, stderr: '' });
    const answer = JSON.parse(tried.stdout) as { message: { id: string; text: string } };
    expect(answer.message.text).toBe('Hello Bob');
    await feed.until(() => feed.messages.length === 1);
    expect(feed.messages[0]).toMatchObject({ id: answer.message.id, senderId: 'alice', text: 'Hello Bob' });
  });

  it.skipIf(problem !== undefined)('is told every setting by --help', async () => {
    const { exitCode, stdout } = await clone.run('npm', ['start', '--silent', '--', '--help']);
    expect(exitCode).toBe(0);
    const settings = Object.values(SCHEMA).flatMap((section) => Object.values(section).map(({ env }) => env));
    expect(settings.length).toBeGreaterThan(30);
    for (const env of settings) expect(stdout).toMatch(new RegExp(`^ {2}${env}$`, 'm'));
  });

  it.skipIf(problem !== undefined)('is told how to ask for a token', async () => {
    const wrong = await clone.run('npm', ['run', '--silent', 'token']);
    expect(wrong.exitCode).not.toBe(0);
    expect(wrong.stderr).toContain('--user ID');
  });
});

describe('A start that cannot succeed', () => {
  async function refusal(env: Readonly<Record<string, string>>): Promise<{ exitCode: number | null; stderr: string }> {
    const { status, stderr } = spawnSync(process.execPath, ['bin/start.mjs'], {
      cwd: root,
      env: { PATH: process.env.PATH ?? '', ...env },
      encoding: 'utf8',
      timeout: 20_000,
    });
    return { exitCode: status, stderr };
  }

  it('tells all wrong settings at once, never their values', async () => {
    const { exitCode, stderr } = await refusal({
      PORT: 'eighty',
      LOG_LEVEL: 'loud',
      AUTH_HS256_SECRET: 'too-short-secret',
      AUTH_JWKS_URL: 'http://keys.example/',
      PRESENCE_AUDIENCE: 'strangers',
      MAX_CONNECTIONS_PER_USER: '-1',
      TLS_CERT_FILE: '/somewhere/cert.pem',
    });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('7 mistakes');
    for (const env of [
      'PORT',
      'LOG_LEVEL',
      'AUTH_HS256_SECRET',
      'AUTH_JWKS_URL',
      'PRESENCE_AUDIENCE',
      'MAX_CONNECTIONS_PER_USER',
      'TLS_KEY_FILE',
    ]) {
      expect(stderr).toMatch(new RegExp(`^ {2}${env}: .*expected`, 'm'));
    }
    expect(stderr).not.toContain('too-short-secret');
    expect(stderr).not.toContain('    at ');
  });

  it('refuses production without a key', async () => {
    const { exitCode, stderr } = await refusal({ NODE_ENV: 'production' });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('AUTH_HS256_SECRET');
    expect(stderr).toContain('AUTH_JWKS_URL');
  });

  it('says so when the folder or the port is in use', async () => {
    const dataDir = await temporaryFolder();
    const other = await temporaryFolder();
    try {
      await using server = await startProcess(testEnv(dataDir));
      const sameFolder = await refusal(testEnv(dataDir));
      expect(sameFolder.exitCode).toBe(1);
      expect(sameFolder.stderr.trim()).toBe(
        `DATA_DIR ${dataDir} is in use by another process; stop that one, or choose another directory`,
      );
      const samePort = await refusal(testEnv(other, { PORT: String(server.port) }));
      expect(samePort.exitCode).toBe(1);
      expect(samePort.stderr).toContain('the port is in use');
      expect((await fetch(`${server.url}/api/health`)).status).toBe(200);
    } finally {
      await Promise.all([dataDir, other].map((folder) => rm(folder, { recursive: true, force: true })));
    }
  });

  it('says so when the certificate cannot be read, or the database is none', async () => {
    const dataDir = await temporaryFolder();
    try {
      const files = { TLS_CERT_FILE: join(dataDir, 'no.pem'), TLS_KEY_FILE: join(dataDir, 'no.pem') };
      const noCertificate = await refusal(testEnv(dataDir, files));
      expect(noCertificate.exitCode).toBe(1);
      expect(noCertificate.stderr).toContain('TLS_CERT_FILE: cannot read the file');
      const file = join(dataDir, 'chat.sqlite');
      await rm(file, { force: true });
      const letter = 'This is a letter to my grandmother. '.repeat(200);
      await writeFile(file, letter);
      const noDatabase = await refusal(testEnv(dataDir));
      expect(noDatabase.exitCode).toBe(1);
      expect(noDatabase.stderr).toContain('chat.sqlite in DATA_DIR is not a SQLite database; move it away');
      expect(noDatabase.stderr).not.toContain('    at ');
      expect(noDatabase.stderr).not.toContain('grandmother');
      expect(await readFile(file, 'utf8')).toBe(letter);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  const hostNode = spawnSync('/usr/bin/env', ['-S', 'node', '--version'], {
    encoding: 'utf8',
    env: {
      PATH: (process.env.PATH ?? '')
        .split(':')
        .filter((folder) => !folder.includes('node_modules'))
        .join(':'),
    },
  }).stdout?.trim();
  const hostMajor = Number(/^v(\d+)/.exec(hostNode ?? '')?.[1] ?? 26);

  it.skipIf(hostMajor >= 26)('says what to do when the Node is too old', () => {
    const { status, stderr } = spawnSync('node', ['bin/start.mjs'], {
      cwd: root,
      env: {
        PATH: (process.env.PATH ?? '')
          .split(':')
          .filter((folder) => !folder.includes('node_modules'))
          .join(':'),
      },
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toContain('needs Node 26');
    expect(stderr).toContain('npm start');
  });
});
