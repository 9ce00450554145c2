/** Which path goes to which door, and the pages of operation: health, life and metrics. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Route, sendJson, sendNotFound, type UpgradeRoute } from '../http/router.ts';
import type { Health } from '../ops/health.ts';
import type { PrometheusMetrics } from '../ops/metrics.ts';
import type { Doors } from './doors.ts';

export interface RouteDependencies {
  readonly doors: Doors;
  readonly health: Health;
  readonly metrics: PrometheusMetrics;
  /** Sets the gauges that are read only when somebody looks. */
  readonly gauge: () => void;
}

export function composeRoutes({ doors, gauge, health, metrics }: RouteDependencies): readonly Route[] {
  const { hub, rest, rpc } = doors;
  return [
    { matches: (path) => rpc.handles(path), handle: (request, response) => rpc.handler(request, response) },
    {
      matches: onHub,
      handle: (request, response) => {
        // The hub's endpoint speaks HTTP/1.1; what HTTP/2 brings here has the same shape for what it uses.
        const known = hub.handleRequest(request as IncomingMessage, response as ServerResponse);
        if (!known) sendNotFound(response);
      },
    },
    {
      matches: (_path, lower) => lower === '/api/health' || lower === '/api/health/',
      handle: (_request, response) => {
        const serving = health.status() === 'serving';
        const body = serving ? { status: 'ok' } : { status: 'unavailable', reasons: health.reasons() };
        sendJson(response, serving ? 200 : 503, body);
      },
    },
    {
      // Alive as long as it answers: a store that is away is no reason to end the process.
      matches: (_path, lower) => lower === '/api/live' || lower === '/api/live/',
      handle: (_request, response) => sendJson(response, 200, { status: 'ok' }),
    },
    {
      matches: (_path, lower) => lower === '/metrics',
      handle: async (_request, response) => {
        gauge();
        response.setHeader('content-type', metrics.contentType);
        response.end(await metrics.text());
      },
    },
    {
      matches: (_path, lower) => rest.handles(lower),
      handle: (request, response) => rest.handle(request, response),
    },
  ];
}

export function composeUpgrades({ hub }: Doors): readonly UpgradeRoute[] {
  return [{ matches: onHub, upgrade: (request, socket, head) => hub.handleUpgrade(request, socket, head) }];
}

function onHub(_path: string, lower: string): boolean {
  return lower === '/chathub' || lower.startsWith('/chathub/');
}
