/** Serves test pages, the stock browser bundles and modules of the tests, from an origin that is not the server's. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../..');
const BUNDLES: Readonly<Record<string, string>> = {
  '/stock/signalr.js': 'node_modules/@microsoft/signalr/dist/browser/signalr.js',
  '/stock/signalr-protocol-msgpack.js':
    'node_modules/@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js',
};
/** Folders of the repository that are served, each under its own path. Names are plain, so no path leads out of them. */
const FILE = /^\/(test\/e2e\/signalr\/cases|test\/page)\/[a-z0-9-]+\.(ts|js|html)$/;
const TYPES: Readonly<Record<string, string>> = {
  ts: 'text/javascript',
  js: 'text/javascript',
  html: 'text/html; charset=utf-8',
};

export interface StaticPages extends AsyncDisposable {
  /** For example `http://127.0.0.1:1234`. */
  readonly origin: string;
}

/** Starts on a free port. TypeScript is served as JavaScript. */
export async function serveStaticPages(): Promise<StaticPages> {
  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const file = BUNDLES[path] ?? (FILE.test(path) ? path : undefined);
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  const kind = file.slice(file.lastIndexOf('.') + 1);
  const text = await readFile(join(root, file), 'utf8');
  response.writeHead(200, { 'Content-Type': TYPES[kind] ?? 'text/plain' });
  response.end(kind === 'ts' ? stripTypeScriptTypes(text) : text);
}
