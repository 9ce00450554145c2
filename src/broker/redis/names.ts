/**
 * Names of what the broker keeps in Redis. All names of one user carry the same hash tag, so that one script may touch
 * them on a Redis Cluster.
 */

/** Names of one user's stream. */
export interface StreamNames {
  /** Place of the stream: `epoch offset timeMs incarnation`. */
  readonly place: string;
  /** The log, a Redis stream with entry ids `timeMs-offset`. */
  readonly log: string;
  /** The newest seq of each conversation that is in the stream, a hash by the other person's id. */
  readonly seqs: string;
  /** The sharded channel that entries and transient events go through. */
  readonly channel: string;
}

export const DEFAULT_PREFIX = 'carepro_';

export class Names {
  readonly #prefix: string;
  /** Channel of what goes to every instance. */
  readonly broadcast: string;
  /** A stream of nobody, for the trial run at start. */
  readonly trial: StreamNames;

  /** @throws RangeError if the prefix contains a brace, which would change the hash tag. */
  constructor(prefix: string) {
    if (/[{}\s]/.test(prefix)) throw new RangeError('The Redis prefix must not contain braces or white space');
    this.#prefix = prefix;
    this.broadcast = `${prefix}broadcast`;
    this.trial = {
      place: `${prefix}trial:{start}:place`,
      log: `${prefix}trial:{start}:log`,
      seqs: `${prefix}trial:{start}:seqs`,
      channel: `${prefix}trial:{start}`,
    };
  }

  of(userId: string): StreamNames {
    const channel = `${this.#prefix}{${escapeTag(userId)}}`;
    return { channel, place: `${channel}:place`, log: `${channel}:log`, seqs: `${channel}:seqs` };
  }

  /** Channel alone, for what needs no keys. */
  channelOf(userId: string): string {
    return `${this.#prefix}{${escapeTag(userId)}}`;
  }
}

/** Hash slot of a key or channel, 0 to 16383: CRC-16/XMODEM of its hash tag (Redis Cluster specification, "Hash tags"). */
export function slotOf(name: string): number {
  const open = name.indexOf('{');
  const close = open === -1 ? -1 : name.indexOf('}', open);
  const tag = close > open + 1 ? name.slice(open + 1, close) : name;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    crc &= 0xffff;
  }
  return crc & 0x3fff;
}

/** A brace would end the hash tag early, and an id that begins with one would leave it empty. */
function escapeTag(userId: string): string {
  return /[%{}]/.test(userId) ? userId.replaceAll(/[%{}]/g, (char) => `%${char.charCodeAt(0).toString(16)}`) : userId;
}
