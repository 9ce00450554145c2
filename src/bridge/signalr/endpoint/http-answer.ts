/**
 * Answers of an endpoint that are whole at once, and what becomes of an answer. Over HTTP/2, too, whose responses have the same shape
 * but for two things: only their stream knows whether it has gone, and they say `finish` even when they were broken off.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Stream } from 'node:http2';
import type { Refusal } from './access.ts';

/** Writes an answer. What is left of the request's body is of no interest. */
export function writeAnswer(request: IncomingMessage, response: ServerResponse, answer: Refusal): void {
  dropBody(request);
  if (isGone(response) || response.headersSent) return;
  // HEAD has no body, but is never answered with one here either.
  const body = Buffer.from(answer.body);
  // 204 has neither a body nor its length (RFC 9110, section 8.6).
  const length = answer.status === 204 ? {} : { 'Content-Length': String(body.length) };
  response.writeHead(answer.status, { ...answer.headers, ...length });
  response.end(body);
}

/**
 * Has the rest of the body read and dropped, so that the socket can be used again. Not over HTTP/2: there Node ends a stream after its
 * answer if nobody has read from it, and else it would stay for as long as its client likes.
 */
export function dropBody(request: IncomingMessage): void {
  if (request.httpVersionMajor === 1) request.resume();
}

/**
 * Writes the answer to a request of which some has been read, and no more is wanted. A stream of HTTP/2 is then closed (RFC 9113, section
 * 8.1): nothing else would ever end it. A connection of HTTP/1.1 ends by the server's own limits, and at once when the request is late.
 */
export function writeEarlyAnswer(request: IncomingMessage, response: ServerResponse, answer: Refusal): void {
  const stream = streamOf(response);
  if (stream === undefined) {
    const headers = answer.status === 408 ? { ...answer.headers, Connection: 'close' } : answer.headers;
    writeAnswer(request, response, { ...answer, headers });
    return;
  }
  whenOut(response, (isOut) => {
    if (isOut) stream.close();
  });
  writeAnswer(request, response, answer);
}

/** Whether nobody waits for the answer any more: it tells of no end that is still to come. */
export function isGone(response: ServerResponse): boolean {
  const stream = streamOf(response);
  return stream === undefined ? response.destroyed : stream.destroyed;
}

/** Calls `done` once, when all of the answer is with the operating system (`isOut`) or can never be. */
export function whenOut(response: ServerResponse, done: (isOut: boolean) => void): void {
  const emitter = streamOf(response) ?? response;
  const onFinish = (): void => {
    emitter.off('close', onClose);
    done(true);
  };
  const onClose = (): void => {
    emitter.off('finish', onFinish);
    done(false);
  };
  emitter.once('finish', onFinish).once('close', onClose);
}

function streamOf(response: ServerResponse): Http2Stream | undefined {
  return (response as { readonly stream?: Http2Stream }).stream;
}
