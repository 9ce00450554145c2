/**
 * The body of a REST request: bounded in size and time, UTF-8, one JSON object.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../time/clock.ts';
import { RestError } from './rest-errors.ts';

/** What the door needs of a request; those of Node's HTTP/1.1 and HTTP/2 servers have it. */
export interface RestRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly httpVersionMajor: number;
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'end' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  resume(): unknown;
}

/** Largest body, in bytes. */
export const MAX_BODY_BYTES = 65_536;
/** How much of a body that is too large is read and dropped, so that a client in the middle of it sees the answer. */
const MAX_DROPPED_BYTES = 1_048_576;
/** How long a body may take, in milliseconds. */
const BODY_TIMEOUT_MS = 10_000;

/** The client has gone: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/**
 * The members of the body; none for an empty body.
 * @throws RestError 400, 408, 413; ClientGone.
 */
export async function readJsonObject(request: RestRequest, clock: Clock): Promise<Readonly<Record<string, unknown>>> {
  const body = await readBody(request, clock);
  if (body.length === 0) return {};
  if (!isUtf8(body)) throw new RestError(400, 'The body is not valid UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(withoutByteOrderMark(body.toString('utf8')));
  } catch {
    throw new RestError(400, 'The body is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RestError(400, 'The body must be a JSON object');
  }
  return value as Record<string, unknown>;
}

function readBody(request: RestRequest, clock: Clock): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  const timer = clock.schedule(BODY_TIMEOUT_MS, () => reject(new RestError(408, 'The body took too long to arrive')));
  request.on('data', (chunk) => {
    length += chunk.length;
    if (length <= MAX_BODY_BYTES) chunks.push(chunk);
    else {
      chunks.length = 0;
      if (length > MAX_DROPPED_BYTES) reject(tooLarge());
    }
  });
  request.on('end', () => {
    if (length > MAX_BODY_BYTES) reject(tooLarge());
    else resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
  });
  const gone = (): void => reject(new ClientGone('The client has gone'));
  request.on('error', gone);
  request.on('close', gone);
  if (Number(request.headers['content-length'] ?? 0) > MAX_DROPPED_BYTES) reject(tooLarge());
  return promise.finally(() => timer.cancel());
}

function tooLarge(): RestError {
  return new RestError(413, `The body must not be larger than ${MAX_BODY_BYTES} bytes`);
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}
