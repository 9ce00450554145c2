/** The fixture as a program, and what the stock clients do not show of it: CORS headers, and cookies over https. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { startFixture } from '../../fixtures/signalr/server.ts';
import { freePort } from '../support/server.ts';

const root = join(import.meta.dirname, '../../..');

function start(env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, ['test/fixtures/signalr-fixture-server.ts'], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, exit: once(child, 'exit') };
}

it.each([
  ['a', '/testhub'],
  ['b', '/default'],
])(
  'The program serves profile %s on the port it is told, says so in one line and ends on SIGTERM',
  async (profile, hub) => {
    const port = await freePort();
    const { child, exit } = start({ PORT: String(port), PROFILE: profile });
    const output = text(child.stdout);
    await Promise.race([once(child.stdout, 'data'), exit]);
    const answer = await fetch(`http://127.0.0.1:${port}${hub}/negotiate?negotiateVersion=1`, { method: 'POST' });
    expect(answer.status).toBe(200);
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    expect(await output).toBe(`SignalR fixture ${profile} is ready on http://127.0.0.1:${port}\n`);
  },
);

it.each([
  [{ PROFILE: 'c' }, "PROFILE must be a or b, not 'c'\n"],
  [{ PORT: 'eighty' }, "PORT must be a port, not 'eighty'\n"],
])('The program refuses %o', async (env, words) => {
  const { child, exit } = start(env);
  const errors = text(child.stderr);
  expect(await exit).toEqual([1, null]);
  expect(await errors).toBe(words);
});

it('Pages of this computer may call with credentials and any header, other pages may not', async () => {
  await using fixture = await startFixture({ profile: 'a' });
  const preflight = (origin: string): Promise<Response> =>
    fetch(`${fixture.url}/testhub/negotiate`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-anything' },
    });
  const own = await preflight('http://localhost:5000');
  expect(own.status).toBe(204);
  expect(Object.fromEntries(own.headers)).toMatchObject({
    'access-control-allow-origin': 'http://localhost:5000',
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': 'x-anything',
    vary: 'Origin',
  });
  const other = await preflight('https://example.org');
  expect(other.headers.get('access-control-allow-origin')).toBeNull();
});

it('Over https every negotiate sets its cookies so that pages of other sites send them back', async () => {
  const tls = join(root, 'test/fixtures/tls');
  const [cert, key] = await Promise.all([readFile(join(tls, 'cert.pem')), readFile(join(tls, 'key.pem'))]);
  await using fixture = await startFixture({ profile: 'a', tls: { cert, key } });
  const address = `${fixture.url}/bad-negotiate/negotiate`;
  const asked = request(address, { method: 'POST', ca: cert, servername: 'localhost', agent: false }).end();
  const [answer] = await once(asked, 'response');
  answer.resume();
  const more = '; path=/; SameSite=None; Secure; Partitioned';
  expect(answer.headers['set-cookie'].slice(0, 2)).toEqual([
    `testCookie=testValue${more}`,
    `testCookie2=testValue2${more}`,
  ]);
  expect(answer.headers['set-cookie'][2]).toMatch(
    /^expiredCookie=.*; expires=Thu, 01 Jan 1970 .*; Secure; Partitioned$/,
  );
});
