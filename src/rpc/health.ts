/** grpc.health.v1.Health: whether the server serves, as load balancers and orchestrators ask. Needs no token. */
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import {
  type Health,
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { abortError } from './errors.ts';
import type { LiveStreams } from './live-streams.ts';
import type { HealthSource } from './options.ts';
import { UtilityStream } from './utility-stream.ts';
import { untilAborted } from './waiting.ts';

function answer(status: HealthCheckResponse['status']): HealthCheckResponse {
  return { $typeName: 'grpc.health.v1.HealthCheckResponse', status };
}

/**
 * @param services full names of the services whose health can be asked for; all share the server's. The empty name
 * stands for the server.
 */
export function createHealthHandlers(
  source: HealthSource,
  streams: LiveStreams,
  services: ReadonlySet<string>,
): ServiceImpl<typeof Health> {
  const current = (): HealthCheckResponse['status'] =>
    source.status() === 'serving' ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  const isKnown = (service: string): boolean => service === '' || services.has(service);

  return {
    check(request: HealthCheckRequest): HealthCheckResponse {
      if (!isKnown(request.service)) throw new ConnectError('The service is not known', Code.NotFound);
      return answer(current());
    },

    async *watch(request: HealthCheckRequest, context: HandlerContext): AsyncGenerator<HealthCheckResponse> {
      const known = isKnown(request.service);
      using stream = new UtilityStream(streams, context.signal);
      let wake: () => void = () => undefined;
      const stop = source.onChange(() => wake());
      let told: HealthCheckResponse['status'] | undefined;
      try {
        for (;;) {
          const changed = new Promise<void>((resolve) => {
            wake = resolve;
          });
          const status = known ? current() : ServingStatus.SERVICE_UNKNOWN;
          if (status !== told) {
            told = status;
            yield answer(status);
          } else if (stream.signal.aborted) {
            throw abortError(stream.signal);
          } else {
            // Its end is looked at after the status: a drain's "not serving" is still told.
            await untilAborted(changed, stream.signal).catch(() => undefined);
          }
        }
      } finally {
        stop();
      }
    },
  };
}
