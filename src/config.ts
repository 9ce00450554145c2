/**
 * Settings from the environment: read once at the start, all mistakes reported together, the result frozen. What there is
 * to set stands in config/schema.ts; the rules between settings stand here.
 */
import type { AllowedOrigins } from './config/origins.ts';
import { SCHEMA, SECTION_TITLES } from './config/schema.ts';
import type { Setting } from './config/setting.ts';

type ValueOf<S> = S extends Setting<infer T> ? T : never;
type Parsed = {
  readonly [S in keyof typeof SCHEMA]: {
    readonly [K in keyof (typeof SCHEMA)[S]]: ValueOf<(typeof SCHEMA)[S][K]>;
  };
};

/** All settings by section, as in config/schema.ts, with what follows from several of them. */
export type Config = Omit<Parsed, 'http'> & {
  readonly http: Omit<Parsed['http'], 'corsOrigins'> & { readonly corsOrigins: AllowedOrigins };
  readonly production: boolean;
  /** Set if the port speaks TLS. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
};

/** One wrong setting. */
export interface ConfigMistake {
  /** Environment variable. */
  readonly env: string;
  /** What was expected and what to do; never the value. */
  readonly problem: string;
}

/** The settings are wrong. The message lists every mistake, one per line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly mistakes: readonly ConfigMistake[];

  constructor(mistakes: readonly ConfigMistake[]) {
    const lines = mistakes.map(({ env, problem }) => `  ${env}: ${problem}`);
    super(
      `The configuration has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}:\n${lines.join('\n')}`,
    );
    this.mistakes = mistakes;
  }
}

/** Reads the settings. Empty variables count as absent. @throws ConfigError with all mistakes. */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const mistakes: ConfigMistake[] = [];
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    const values = Object.entries(settings).map(([key, setting]) => [key, read(setting, env, mistakes)]);
    return [section, Object.fromEntries(values)];
  });
  const parsed = Object.fromEntries(sections) as Parsed;
  mistakes.push(...crossChecks(parsed, new Set(mistakes.map((mistake) => mistake.env))));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return deepFreeze(complete(parsed));
}

/** All settings with meaning, bounds and default, as text of at most 100 columns for `--help`. */
export function describeConfig(): string {
  const lines = ['Settings are environment variables:'];
  for (const [section, settings] of Object.entries(SCHEMA)) {
    lines.push('', `${SECTION_TITLES[section as keyof typeof SCHEMA]}`);
    for (const setting of Object.values<Setting<unknown>>(settings)) {
      lines.push(`  ${setting.env}`, ...wrap(`${setting.description}.`));
      lines.push(...wrap(`Expected: ${setting.expected}. Default: ${setting.shownDefault}.`));
    }
  }
  return `${lines.join('\n')}\n`;
}

function read(
  setting: Setting<unknown>,
  env: Readonly<Record<string, string | undefined>>,
  mistakes: ConfigMistake[],
): unknown {
  const given = env[setting.env];
  if (given === undefined || given.trim() === '') return setting.fallback;
  const result = setting.parser.safeParse(given);
  if (result.success) return result.data;
  const expected = result.error.issues[0]?.message ?? setting.expected;
  mistakes.push({
    env: setting.env,
    problem: `expected ${expected}; leave it out for the default (${setting.shownDefault})`,
  });
  return setting.fallback;
}

/** Rules between settings. A setting that is wrong in itself is not judged again. */
function crossChecks({ server, storage, auth, http, chat }: Parsed, wrong: ReadonlySet<string>): ConfigMistake[] {
  const mistakes: ConfigMistake[] = [];
  const check = (holds: boolean, env: string, others: readonly string[], problem: string) => {
    if (!holds && ![env, ...others].some((name) => wrong.has(name))) mistakes.push({ env, problem });
  };
  check(
    server.mode !== 'production' || auth.hs256Secret !== undefined || auth.jwksUrl !== undefined,
    'AUTH_HS256_SECRET',
    ['AUTH_JWKS_URL', 'NODE_ENV'],
    'expected with NODE_ENV=production: set it, or AUTH_JWKS_URL (a development secret is made only without production)',
  );
  check(
    storage.redisUrl === undefined || storage.mongodbUri !== undefined,
    'MONGODB_URI',
    ['REDIS_URL'],
    'expected together with REDIS_URL: instances that share events must share the messages',
  );
  check(
    server.tlsKeyFile === undefined || server.tlsCertFile !== undefined,
    'TLS_CERT_FILE',
    ['TLS_KEY_FILE'],
    'expected together with TLS_KEY_FILE: set both or none',
  );
  check(
    server.tlsCertFile === undefined || server.tlsKeyFile !== undefined,
    'TLS_KEY_FILE',
    ['TLS_CERT_FILE'],
    'expected together with TLS_CERT_FILE: set both or none',
  );
  check(
    http.requestTimeoutMs >= http.headerTimeoutMs,
    'REQUEST_TIMEOUT_MS',
    ['HEADER_TIMEOUT_MS'],
    'expected at least HEADER_TIMEOUT_MS: the headers are part of the request',
  );
  check(
    chat.sendBurst >= chat.sendRatePerSecond,
    'SEND_BURST',
    ['SEND_RATE_PER_SECOND'],
    'expected at least SEND_RATE_PER_SECOND, which could not be reached otherwise',
  );
  // Four bytes per UTF-16 code unit leave room for any text in UTF-8 and for JSON escapes of the common kinds.
  check(
    http.maxRequestBytes >= chat.messageMaxCharacters * 4,
    'MAX_REQUEST_BYTES',
    ['MESSAGE_MAX_CHARACTERS'],
    'expected at least four times MESSAGE_MAX_CHARACTERS, so that the longest message fits',
  );
  return mistakes;
}

function complete(parsed: Parsed): Config {
  const { server, http } = parsed;
  const production = server.mode === 'production';
  const { tlsCertFile: certFile, tlsKeyFile: keyFile } = server;
  return {
    ...parsed,
    http: { ...http, corsOrigins: http.corsOrigins ?? (production ? [] : 'loopback') },
    production,
    tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

function wrap(sentence: string): string[] {
  const lines: string[] = [];
  let line = '     ';
  for (const word of sentence.split(' ')) {
    if (line.length + word.length + 1 > 100) {
      lines.push(line);
      line = '     ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
