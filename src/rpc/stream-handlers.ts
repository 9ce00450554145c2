/** StreamEvents and Subscribe: opens an event stream, joins its two halves, and puts the method's message around it. */
import type { HandlerContext } from '@connectrpc/connect';
import type {
  StreamEventsRequest,
  StreamEventsResponse,
  SubscribeRequest,
  SubscribeResponse,
} from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { ChatError } from '../core/errors.ts';
import type { Watch } from '../core/registry.ts';
import { callOf } from './call.ts';
import { ClientFrames, type ClientFramesDependencies } from './client-frames.ts';
import { fromPosition } from './convert.ts';
import { deadlineError, internalCause, toConnectError } from './errors.ts';
import { toEventFrame } from './event-frames.ts';
import { EventStream, type EventStreamDependencies } from './event-stream.ts';
import type { RpcLog } from './options.ts';
import { currentPresence, toWatch } from './presence-watch.ts';
import { untilAborted } from './waiting.ts';

export interface StreamHandlerDependencies
  extends EventStreamDependencies,
    Omit<ClientFramesDependencies, 'maxPendingFrames' | 'onInternalError'> {
  readonly log: RpcLog;
}

export interface StreamHandlers {
  streamEvents(
    requests: AsyncIterable<StreamEventsRequest>,
    context: HandlerContext,
  ): AsyncGenerator<StreamEventsResponse>;
  subscribe(request: SubscribeRequest, context: HandlerContext): AsyncGenerator<SubscribeResponse>;
}

export function createStreamHandlers(dependencies: StreamHandlerDependencies): StreamHandlers {
  const { clock, log, options, reader } = dependencies;

  async function* streamEvents(
    requests: AsyncIterable<StreamEventsRequest>,
    context: HandlerContext,
  ): AsyncGenerator<StreamEventsResponse> {
    const call = callOf(context.values);
    const inbound = requests[Symbol.asyncIterator]();
    const first = await untilAborted(inbound.next(), context.signal, {
      clock,
      ms: options.openTimeoutMs,
      error: () => deadlineError('The stream was not opened in time', 'STREAM_NOT_OPEN'),
    });
    if (first.done || first.value.frame.case !== 'open') {
      throw new ChatError('failedPrecondition', 'STREAM_NOT_OPEN', 'The first frame must be open', {
        violations: [{ field: 'frame', description: 'must be open in the first frame' }],
      });
    }
    const open = first.value.frame.value;
    const stream = new EventStream(dependencies, call, context.signal, {
      userId: open.userId,
      position: fromPosition(open.position),
      watch: 'nobody',
    });
    const onInternalError = (error: unknown): void =>
      log.error({ requestId: call.requestId, method: call.method, error });
    const frames = new ClientFrames(
      { ...dependencies, maxPendingFrames: options.maxPendingFrames, onInternalError },
      stream,
    );
    frames.run(inbound).catch(onInternalError);
    for await (const frame of stream.frames()) {
      yield { $typeName: 'carepro.chat.v1.StreamEventsResponse', frame };
    }
  }

  async function* subscribe(request: SubscribeRequest, context: HandlerContext): AsyncGenerator<SubscribeResponse> {
    const call = callOf(context.values);
    const watch = toWatch(request.watchPresence);
    const stream = new EventStream(dependencies, call, context.signal, {
      userId: request.userId,
      position: fromPosition(request.position),
      watch,
    });
    tellPresence(stream, watch).catch((error: unknown) => {
      const cause = internalCause(error);
      if (cause !== undefined) log.error({ requestId: call.requestId, method: call.method, error: cause });
      // A watch whose beginning is unknown is worth nothing: the client comes back and asks again.
      stream.fail(toConnectError(error));
    });
    for await (const frame of stream.frames()) {
      if (frame.case !== 'result') yield { $typeName: 'carepro.chat.v1.SubscribeResponse', frame };
    }
  }

  async function tellPresence(stream: EventStream, watch: Watch): Promise<void> {
    if (!(await stream.whenReady)) return;
    const event = await currentPresence(reader, stream.identity, watch);
    if (event === undefined) return;
    const frame = toEventFrame(event, undefined, false);
    stream.push({ case: 'event', value: frame.event }, frame.bytes);
  }

  return { streamEvents, subscribe };
}
