/**
 * Every setting of the server, once: what is here is parsed, checked, documented by `--help` and typed. Sections group
 * what belongs to one part of the server.
 */
import { DEFAULT_LIMITS } from '../core/limits.ts';
import { corsOrigins } from './origins.ts';
import { choice, flag, integer, optionalText, type Setting, secret, secretUrl, text } from './setting.ts';

/** Database that the server and the migration use unless told otherwise. */
export const DEFAULT_DATABASE = 'carepro_chat';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const MEBIBYTE = 1_048_576;

const ms = (env: string, fallback: number, min: number, max: number, description: string) =>
  integer({ env, default: fallback, min, max, unit: 'milliseconds', description });

const count = (env: string, fallback: number, min: number, max: number, unit: string, description: string) =>
  integer({ env, default: fallback, min, max, unit, description });

/** Section → name → setting. */
export const SCHEMA = {
  server: {
    mode: choice({
      env: 'NODE_ENV',
      of: ['development', 'test', 'production'],
      default: 'development',
      description: 'With production, the server starts only with a key of yours',
    }),
    host: text({ env: 'HOST', default: '127.0.0.1', description: 'Address to listen on; 0.0.0.0 or :: for all' }),
    port: integer({
      env: 'PORT',
      default: 8080,
      min: 0,
      max: 65_535,
      description: 'Port to listen on; 0 takes a free one',
    }),
    dataDir: text({ env: 'DATA_DIR', default: './data', description: 'Folder of the embedded store' }),
    logLevel: choice({
      env: 'LOG_LEVEL',
      of: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      default: 'info',
      description: 'Least level that is logged',
    }),
    tlsCertFile: optionalText({
      env: 'TLS_CERT_FILE',
      expected: 'the path of a PEM file with the certificate and its chain',
      description: 'Certificate; with it and TLS_KEY_FILE the port speaks TLS',
    }),
    tlsKeyFile: optionalText({
      env: 'TLS_KEY_FILE',
      expected: 'the path of a PEM file with the private key',
      description: 'Private key of the certificate',
    }),
    drainDelayMs: ms(
      'DRAIN_DELAY_MS',
      0,
      0,
      MINUTE_MS,
      'How long a stop goes on serving while health says no: as long as a load balancer needs to notice',
    ),
    drainTimeoutMs: ms('DRAIN_TIMEOUT_MS', 10_000, 0, 10 * MINUTE_MS, 'How long a stop waits for requests and streams'),
    instanceLeaseMs: ms(
      'INSTANCE_LEASE_MS',
      15_000,
      1_000,
      10 * MINUTE_MS,
      'How long an instance that is not heard of counts as alive',
    ),
  },
  storage: {
    mongodbUri: secretUrl({
      env: 'MONGODB_URI',
      schemes: ['mongodb', 'mongodb+srv'],
      description: 'MongoDB that keeps messages, users and presence; without it the embedded store does',
    }),
    mongodbDatabase: text({
      env: 'MONGODB_DATABASE',
      default: DEFAULT_DATABASE,
      expected: 'at most 63 letters, digits, - and _',
      check: (name) => /^[\w-]{1,63}$/.test(name),
      description: 'Database in it',
    }),
    redisUrl: secretUrl({
      env: 'REDIS_URL',
      schemes: ['redis', 'rediss'],
      description: 'Redis, or one server of a Redis Cluster, that carries events between instances; needs MONGODB_URI',
    }),
    redisPrefix: text({
      env: 'REDIS_PREFIX',
      default: 'carepro_',
      expected: 'a text without braces',
      check: (prefix) => !/[{}]/.test(prefix),
      description: 'Begins every key and channel in Redis',
    }),
  },
  auth: {
    hs256Secret: secret({ env: 'AUTH_HS256_SECRET', minBytes: 32, description: 'Shared secret of HS256 tokens' }),
    jwksUrl: optionalText({
      env: 'AUTH_JWKS_URL',
      expected: 'an https URL (http only for this computer)',
      check: isKeySetUrl,
      description: 'Public keys of RS256, ES256 and EdDSA tokens (JWKS)',
    }),
    issuer: text({ env: 'AUTH_ISSUER', default: 'CarePro', description: 'Issuer (iss) that tokens must carry' }),
    audience: text({ env: 'AUTH_AUDIENCE', default: 'CarePro', description: 'Audience (aud) that tokens must carry' }),
    hubExpiryGraceMs: ms(
      'AUTH_HUB_EXPIRY_GRACE_MS',
      DAY_MS,
      0,
      30 * DAY_MS,
      'How long a hub connection outlives its token; 0 ends it at once',
    ),
    cacheMaxTokens: count('AUTH_CACHE_MAX_TOKENS', 20_000, 1, 1_000_000, 'tokens', 'Verified tokens that are kept'),
  },
  http: {
    corsOrigins,
    trustProxy: flag({
      env: 'TRUST_PROXY',
      default: false,
      description: 'Whether the last address of X-Forwarded-For is the client: only behind a proxy that sets it',
    }),
    maxConnectionsPerAddress: count(
      'MAX_CONNECTIONS_PER_ADDRESS',
      20_000,
      1,
      10_000_000,
      'connections',
      'Open connections from one address (IPv6: one /64 network)',
    ),
    maxConnectionsPerUser: count(
      'MAX_CONNECTIONS_PER_USER',
      50,
      1,
      1_000_000,
      'connections',
      'Open hub connections and event streams of one user',
    ),
    sniffTimeoutMs: ms(
      'SNIFF_TIMEOUT_MS',
      5_000,
      50,
      10 * MINUTE_MS,
      'Deadline for the first bytes or the TLS handshake',
    ),
    headerTimeoutMs: ms('HEADER_TIMEOUT_MS', 10_000, 50, 10 * MINUTE_MS, 'Deadline for the headers of a request'),
    requestTimeoutMs: ms('REQUEST_TIMEOUT_MS', 30_000, 50, 60 * MINUTE_MS, 'Deadline for a whole HTTP/1.1 request'),
    keepAliveTimeoutMs: ms(
      'KEEP_ALIVE_TIMEOUT_MS',
      65_000,
      50,
      60 * MINUTE_MS,
      'How long an idle HTTP connection stays open; longer than that of a proxy in front',
    ),
    maxHeaderBytes: count('MAX_HEADER_BYTES', 16_384, 1_024, MEBIBYTE, 'bytes', 'Headers of one request'),
    maxRequestBytes: count(
      'MAX_REQUEST_BYTES',
      262_144,
      1_024,
      64 * MEBIBYTE,
      'bytes',
      'Body or message of one request',
    ),
    http2MaxStreams: count('HTTP2_MAX_STREAMS', 1_000, 1, 100_000, 'streams', 'Open streams of one HTTP/2 connection'),
    http2PingIntervalMs: ms(
      'HTTP2_PING_INTERVAL_MS',
      30_000,
      100,
      60 * MINUTE_MS,
      'How often HTTP/2 connections are pinged; one that leaves a ping unanswered until the next is closed',
    ),
  },
  presence: {
    audience: choice({
      env: 'PRESENCE_AUDIENCE',
      of: ['everyone', 'contacts', 'nobody'],
      default: 'everyone',
      description:
        'Who is told that a user came or went: everyone, those with a conversation, or nobody (who may still ask)',
    }),
    graceMs: ms(
      'PRESENCE_GRACE_MS',
      5_000,
      0,
      10 * MINUTE_MS,
      'How long after the last connection a user counts as online',
    ),
  },
  chat: {
    sendRatePerSecond: count(
      'SEND_RATE_PER_SECOND',
      DEFAULT_LIMITS.sendsPerSecond,
      1,
      1_000_000,
      'messages',
      'Messages that one user may send per second for long',
    ),
    sendBurst: count(
      'SEND_BURST',
      DEFAULT_LIMITS.sendBurst,
      1,
      10_000_000,
      'messages',
      'Messages that one user may send at once after a pause',
    ),
    messageMaxCharacters: count(
      'MESSAGE_MAX_CHARACTERS',
      DEFAULT_LIMITS.textMaxCharacters,
      1,
      1_000_000,
      'characters (UTF-16)',
      'Longest message',
    ),
    pageSizeMax: count('PAGE_SIZE_MAX', DEFAULT_LIMITS.pageSizeMax, 1, 10_000, 'items', 'Largest page of a list'),
  },
  streams: {
    queueMaxBytes: count(
      'SESSION_QUEUE_MAX_BYTES',
      MEBIBYTE,
      4_096,
      1_024 * MEBIBYTE,
      'bytes',
      'Events waiting for one slow reader, before it is cut off',
    ),
    queueMaxAgeMs: ms(
      'SESSION_QUEUE_MAX_AGE_MS',
      30_000,
      100,
      60 * MINUTE_MS,
      'Age of the oldest event waiting for a slow reader',
    ),
    eventLogMaxEvents: count(
      'EVENT_LOG_MAX_EVENTS',
      1_000,
      1,
      1_000_000,
      'events',
      'Events kept per user for resuming',
    ),
    eventLogMaxAgeMs: ms(
      'EVENT_LOG_MAX_AGE_MS',
      10 * MINUTE_MS,
      1_000,
      7 * DAY_MS,
      'Age of the events kept for resuming',
    ),
    heartbeatIntervalMs: ms('HEARTBEAT_INTERVAL_MS', 15_000, 100, 10 * MINUTE_MS, 'Heartbeats on idle typed streams'),
  },
} as const satisfies Record<string, Record<string, Setting<unknown>>>;

/** Titles of the sections in `--help`. */
export const SECTION_TITLES: Readonly<Record<keyof typeof SCHEMA, string>> = {
  server: 'Server',
  storage: 'Storage',
  auth: 'Tokens',
  http: 'HTTP',
  presence: 'Presence',
  chat: 'Messages',
  streams: 'Event streams',
};

/** Keys that travel unprotected can be replaced on the way (RFC 8725, section 3.5), except within one computer. */
function isKeySetUrl(given: string): boolean {
  const url = URL.parse(given);
  if (url === null || url.username !== '' || url.password !== '') return false;
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}
