/**
 * Makes a token with the key of this configuration: for trying the server out, and for internal tools that hold the
 * shared secret. The token is the only thing on stdout, so that it can be taken into a variable.
 */
import { parseArgs } from 'node:util';
import { MAX_USER_ID_LENGTH } from '../auth/claims.ts';
import { loadOrCreateDevelopmentSecret } from '../auth/development-secret.ts';
import { mintToken } from '../auth/mint.ts';
import { type Config, ConfigError, loadConfig } from '../config.ts';
import { parseDurationMs } from './duration.ts';

/** What a command prints and exits with. */
export interface CommandResult {
  /** 0 = done, 1 = refused, 2 = called wrongly. */
  readonly exitCode: 0 | 1 | 2;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command was called wrongly. */
class UsageError extends Error {}

const DEFAULT_TTL = '30m';
const MAX_TTL_MS = 366 * 86_400_000;

const USAGE = `Usage: npm run -s token -- --user ID [--role ROLE] [--ttl 30m] [--name NAME]

  --user ID     id of the user, 1 to ${MAX_USER_ID_LENGTH} characters
  --role ROLE   role claim, for example Client, Caregiver, Admin, SuperAdmin, Service (default: none)
  --ttl TIME    lifetime as 45s, 30m, 12h or 7d, at most 366d (default: ${DEFAULT_TTL})
  --name NAME   name that others see (default: none)

The key is that of the server: AUTH_HS256_SECRET, or else the development secret in DATA_DIR.
`;

/** Runs the command. Never throws. @param args without the program's own name. */
export async function tokenCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<CommandResult> {
  try {
    const options = parse(args);
    if (options === 'help') return { exitCode: 0, stdout: USAGE, stderr: '' };
    const config = loadConfig(env);
    const { issuer, audience } = config.auth;
    const token = await mintToken({ ...options, secret: await signingSecret(config), issuer, audience });
    return { exitCode: 0, stdout: `${token}\n`, stderr: '' };
  } catch (error) {
    const text = error instanceof Error ? error.message : 'Unknown error';
    if (error instanceof UsageError) return { exitCode: 2, stdout: '', stderr: `${text}\n\n${USAGE}` };
    const prefix = error instanceof ConfigError ? '' : 'No token was made: ';
    return { exitCode: 1, stdout: '', stderr: `${prefix}${text}\n` };
  }
}

interface TokenOptions {
  readonly userId: string;
  readonly ttlMs: number;
  readonly role?: string;
  readonly name?: string;
}

function parse(args: readonly string[]): TokenOptions | 'help' {
  const { user, role, ttl, name, help } = values(args);
  if (help === true) return 'help';
  if (user === undefined || user === '') throw new UsageError('--user is missing: whose token shall it be?');
  if (user.length > MAX_USER_ID_LENGTH)
    throw new UsageError(`--user: expected at most ${MAX_USER_ID_LENGTH} characters`);
  const ttlMs = parseDurationMs(ttl ?? DEFAULT_TTL);
  if (ttlMs === undefined || ttlMs > MAX_TTL_MS)
    throw new UsageError('--ttl: expected for example 45s, 30m, 12h or 7d');
  return {
    userId: user,
    ttlMs,
    ...(role === undefined || role === '' ? {} : { role }),
    ...(name === undefined || name === '' ? {} : { name }),
  };
}

function values(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        user: { type: 'string' },
        role: { type: 'string' },
        ttl: { type: 'string' },
        name: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'The arguments cannot be read');
  }
}

async function signingSecret(config: Config): Promise<Uint8Array> {
  const { hs256Secret, jwksUrl } = config.auth;
  if (hs256Secret !== undefined) return hs256Secret.bytes();
  if (jwksUrl !== undefined) {
    throw new Error(
      'this server takes tokens only from the issuer behind AUTH_JWKS_URL, whose private key is not here; get one there, or set AUTH_HS256_SECRET as well',
    );
  }
  return (await loadOrCreateDevelopmentSecret(config.server.dataDir)).secret;
}
