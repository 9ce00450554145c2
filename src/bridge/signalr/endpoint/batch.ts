/**
 * What leaves a connection in one write. A batch that many connections share is framed once for each way of framing.
 *
 * Chunks are of one kind: strings (text) or buffers (binary). Knows nothing of what stands in them.
 */

/** A piece of text, or of bytes. */
export type Chunk = string | Buffer;

/** Turns the content of a batch into what goes to the socket. */
export type Framer = (content: Chunk) => Buffer;

/** Chunks that leave together, in their order. Never empty. */
export class Batch {
  readonly chunks: readonly Chunk[];
  #framer: Framer | undefined;
  #framed: Buffer | undefined;

  constructor(chunks: readonly Chunk[]) {
    this.chunks = chunks;
  }

  /** All chunks in one: text if they are text, else bytes. */
  get content(): Chunk {
    const { chunks } = this;
    const [first = ''] = chunks;
    if (chunks.length === 1) return first;
    return typeof first === 'string' ? chunks.join('') : Buffer.concat(chunks as readonly Buffer[]);
  }

  /** The batch as `framer` frames it; done once for each run of connections that share the batch and the framer. */
  framed(framer: Framer): Buffer {
    if (this.#framed === undefined || this.#framer !== framer) {
      this.#framer = framer;
      this.#framed = framer(this.content);
    }
    return this.#framed;
  }

  /** Whether the batch is of the same chunks (shared ones are the same value, so this compares pointers). */
  holds(chunks: readonly Chunk[]): boolean {
    const own = this.chunks;
    if (own.length !== chunks.length) return false;
    for (let index = 0; index < own.length; index += 1) if (own[index] !== chunks[index]) return false;
    return true;
  }
}
