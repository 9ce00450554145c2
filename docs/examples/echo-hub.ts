/** A hub of its own on a plain HTTP server: start it with `node docs/examples/echo-hub.ts`, then connect any SignalR client to /echo. */
import { createServer } from 'node:http';
import { hub, method, stream } from '../../src/bridge/signalr/hub/hub.ts';
import { createSignalRServer } from '../../src/bridge/signalr/hub/server.ts';
import { param } from '../../src/bridge/signalr/protocol/parameters.ts';
import { systemClock } from '../../src/time/clock.ts';

interface User {
  readonly name: string;
}

const echoHub = hub<User>({
  methods: {
    Echo: method([param.string], (_context, text) => text),
    Join: method([param.string], (context, group) => context.groups.add(context.connectionId, String(group))),
    Tell: method([param.string, param.string], (context, group, text) => {
      context.clients.group(String(group)).send('Told', context.user.name, text);
    }),
    Count: stream([param.int, param.optional(param.int, 1)], async function* (_context, to, step) {
      for (let n = 0; n < to; n += step) yield n;
    }),
    Sum: method([param.stream(param.int)], async (_context, numbers) => {
      let sum = 0;
      for await (const number of numbers) sum += number;
      return sum;
    }),
    AskMe: method([], (context) =>
      context.clients.caller.invoke('Question', ['How are you?'], { result: param.string }),
    ),
  },
  onConnected: (connection, { clients }) => clients.allExcept([connection.id]).send('Came', connection.user.name),
  onDisconnected: (connection, error) => {
    process.stdout.write(`${connection.user.name} left${error === undefined ? '' : `: ${error.failure}`}\n`);
  },
  options: { allowStatefulReconnect: true },
});

const signalr = createSignalRServer<User>({
  hub: echoHub,
  path: '/echo',
  clock: systemClock,
  // A real one checks a token; here whoever has one is who it says.
  authenticate: ({ token }) =>
    token === undefined
      ? { ok: false, status: 401, challenge: 'Bearer' }
      : { ok: true, user: { name: token }, userId: token },
  onError: (error, where) => process.stderr.write(`${where.method}: ${String(error)}\n`),
});

const http = createServer((request, response) => {
  if (!signalr.handleRequest(request, response)) response.writeHead(404).end();
});
http.on('upgrade', (request, socket, head) => {
  if (!signalr.handleUpgrade(request, socket, head)) socket.destroy();
});
http.listen(Number(process.env.PORT ?? 5000), '127.0.0.1', () => {
  process.stdout.write(`ready on ${JSON.stringify(http.address())}\n`);
});

process.once('SIGTERM', async () => {
  http.close();
  await signalr.drain({ graceMs: 5_000 });
  http.closeAllConnections();
});
