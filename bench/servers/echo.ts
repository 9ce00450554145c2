/**
 * Echo as a process of its own: `node echo.ts hub PORT` hosts a hub with one method on the SignalR server of this repository,
 * `node echo.ts ws PORT` sends back every frame with nothing but the `ws` package, the least that a WebSocket server can do.
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { hub, method } from '../../src/bridge/signalr/hub/hub.ts';
import { createSignalRServer } from '../../src/bridge/signalr/hub/server.ts';
import { param } from '../../src/bridge/signalr/protocol/parameters.ts';
import { systemClock } from '../../src/time/clock.ts';

const [, , kind, port] = process.argv;
const http = createServer((_request, response) => response.writeHead(404).end());
if (kind === 'hub') hostHub();
else hostBareEcho();
http.listen(Number(port), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));

function hostHub(): void {
  const signalr = createSignalRServer<undefined>({
    hub: hub<undefined>({ methods: { Echo: method([param.string], (_context, text) => text) } }),
    path: '/chathub',
    clock: systemClock,
    authenticate: () => ({ ok: true, user: undefined, userId: undefined }),
    onError: (error) => process.stderr.write(`${String(error)}\n`),
  });
  http.on('upgrade', (request, socket, head) => signalr.handleUpgrade(request, socket, head));
}

function hostBareEcho(): void {
  const server = new WebSocketServer({ server: http, perMessageDeflate: false });
  server.on('connection', (socket) =>
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
}
