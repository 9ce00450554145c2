import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEVELOPMENT_SECRET_FILE, loadOrCreateDevelopmentSecret } from '../../../src/auth/development-secret.ts';

describe('loadOrCreateDevelopmentSecret', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'carepro-secret-'));
  });

  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('makes a secret that only its owner can read, and the folder for it', async () => {
    const made = await loadOrCreateDevelopmentSecret(join(dir, 'a', 'b'));
    expect(made.created).toBe(true);
    expect(made.secret.byteLength).toBeGreaterThanOrEqual(32);
    expect((await stat(made.file)).mode & 0o777).toBe(0o600);
    expect((await readFile(made.file, 'utf8')).trim()).toBe(new TextDecoder().decode(made.secret));
  });

  it('is the same after a restart', async () => {
    const first = await loadOrCreateDevelopmentSecret(dir);
    const second = await loadOrCreateDevelopmentSecret(dir);
    expect(second).toEqual({ ...first, created: false });
  });

  it('is one for all who start at once, and leaves no draft', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateDevelopmentSecret(dir)));
    expect(new Set(all.map(({ secret }) => new TextDecoder().decode(secret))).size).toBe(1);
    expect(all.filter(({ created }) => created)).toHaveLength(1);
    expect(await readdir(dir)).toEqual([DEVELOPMENT_SECRET_FILE]);
  });

  it('closes a file that others could read', async () => {
    const { file } = await loadOrCreateDevelopmentSecret(dir);
    await chmod(file, 0o644);
    await loadOrCreateDevelopmentSecret(dir);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('refuses a file that holds no secret and says what to do', async () => {
    await writeFile(join(dir, DEVELOPMENT_SECRET_FILE), 'short');
    await expect(loadOrCreateDevelopmentSecret(dir)).rejects.toThrow(/delete it/);
  });
});
