/**
 * The secret of a server that was given no key: made once in the data folder, so that tokens survive restarts. Several
 * processes may start at once: the file appears whole, by a hard link, and whoever comes second reads the first's.
 */
import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Name of the file in the data folder; its text is the secret, as AUTH_HS256_SECRET would be. */
export const DEVELOPMENT_SECRET_FILE = 'development-secret';

export interface DevelopmentSecret {
  /** The bytes to sign and verify with. */
  readonly secret: Uint8Array;
  readonly file: string;
  /** Whether this call made it. */
  readonly created: boolean;
}

/**
 * The development secret of a data folder (made if absent, mode 0600).
 * @throws Error if the folder cannot be written, or the file is there and is no secret of at least 32 bytes.
 */
export async function loadOrCreateDevelopmentSecret(dataDir: string): Promise<DevelopmentSecret> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, DEVELOPMENT_SECRET_FILE);
  const existing = await read(file);
  if (existing !== undefined) return { secret: existing, file, created: false };
  const created = await create(file);
  const secret = await read(file);
  if (secret === undefined) throw new Error(`The development secret ${file} vanished while the server was starting`);
  return { secret, file, created };
}

async function read(file: string): Promise<Uint8Array | undefined> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const secret = new TextEncoder().encode(text);
  if (secret.byteLength < 32) {
    throw new Error(`${file} holds no secret of at least 32 bytes: delete it, and the next start makes a new one`);
  }
  // A copy or a restore may have opened it to others.
  if (process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600);
  return secret;
}

/** @returns false if somebody else was faster. */
async function create(file: string): Promise<boolean> {
  const draft = `${file}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(32).toString('base64url')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
