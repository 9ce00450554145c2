/** Writes the answers of an endpoint that are whole at once. Over HTTP/2, too, whose responses have the same shape. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal } from './access.ts';

/** Writes an answer. What is left of the request's body is of no interest; it is read and dropped, so that the socket can be used again. */
export function writeAnswer(request: IncomingMessage, response: ServerResponse, answer: Refusal): void {
  request.resume();
  if (response.destroyed || response.headersSent) return;
  // HEAD has no body, but is never answered with one here either.
  const body = Buffer.from(answer.body);
  // 204 has neither a body nor its length (RFC 9110, section 8.6).
  const length = answer.status === 204 ? {} : { 'Content-Length': String(body.length) };
  response.writeHead(answer.status, { ...answer.headers, ...length });
  response.end(body);
}
