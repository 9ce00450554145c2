/** An HTTP proxy as some networks have one: it lets no WebSocket through, or no event stream either. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface NarrowProxy extends AsyncDisposable {
  readonly url: string;
}

/** @param lets what still gets through beside plain requests. */
export async function openNarrowProxy(upstreamPort: number, lets: 'event streams' | 'nothing'): Promise<NarrowProxy> {
  const server = createServer((request, response) => {
    if (lets === 'nothing' && request.headers.accept?.includes('text/event-stream')) response.writeHead(502).end();
    else forward(request, response, upstreamPort);
  });
  server.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(request: IncomingMessage, response: ServerResponse, port: number): void {
  const { headers, method, url: path } = request;
  const upstream = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false });
  upstream.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    // A long answer may have nothing to say for a while after its head.
    response.flushHeaders();
    answer.on('error', () => response.destroy());
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  request.pipe(upstream);
}
