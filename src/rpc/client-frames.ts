/**
 * The upward half of an event stream: runs the client's frames and answers each with one result.
 *
 * Invariants: frames take effect in the order they came, and results go out in that order. Sends that follow each other
 * are handed to the core at once, without waiting for the one before (it commits them in the order it gets them), so that
 * they share a commit; everything else waits its turn. At most `maxPendingFrames` are in work; then the stream is not
 * read, and the transport's flow control holds the client back.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import type { Ok, Result, StreamEventsRequest } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import type { Chat } from '../core/chat.ts';
import { ChatError, invalidField } from '../core/errors.ts';
import type { ChatEvent } from '../core/events.ts';
import type { TokenVerifier } from '../core/identity.ts';
import { MAX_ID_LENGTH } from '../core/ids.ts';
import type { Profiles } from '../core/profiles.ts';
import type { Reader } from '../core/reader.ts';
import type { Clock } from '../time/clock.ts';
import { fromUpTo, toDuration, toSendResponse } from './convert.ts';
import { internalCause, tokenError, toStatus } from './errors.ts';
import { FRAME_BYTES, toEventFrame } from './event-frames.ts';
import type { EventStream } from './event-stream.ts';
import { currentPresence, toWatch } from './presence-watch.ts';

export interface ClientFramesDependencies {
  readonly chat: Chat;
  readonly reader: Reader;
  readonly profiles: Pick<Profiles, 'observe'>;
  readonly verifier: TokenVerifier;
  readonly clock: Clock;
  readonly maxPendingFrames: number;
  /** Told of what failed inside. */
  readonly onInternalError: (error: unknown) => void;
}

interface Answer {
  readonly outcome: Result['outcome'];
  /** An event that follows the result. */
  readonly event?: ChatEvent;
}

const NOTHING: Ok['response'] = { case: undefined };

export class ClientFrames {
  readonly #deps: ClientFramesDependencies;
  readonly #stream: EventStream;
  /** Settles when every frame so far is answered. */
  #tail: Promise<void> = Promise.resolve();
  #pending = 0;
  /** How many of the pending frames are not sends. */
  #others = 0;
  #onRoom: (() => void) | undefined;

  constructor(dependencies: ClientFramesDependencies, stream: EventStream) {
    this.#deps = dependencies;
    this.#stream = stream;
  }

  /** Reads frames until the client has no more or the stream is over. A client may stop sending and go on receiving. */
  async run(frames: AsyncIterator<StreamEventsRequest>): Promise<void> {
    if (!(await this.#stream.whenReady)) return;
    try {
      for (;;) {
        const next = await frames.next();
        if (next.done || this.#stream.isOver) return;
        this.#take(next.value);
        if (this.#pending >= this.#deps.maxPendingFrames) {
          await new Promise<void>((resolve) => {
            this.#onRoom = resolve;
          });
        }
      }
    } catch (error) {
      // What cannot be parsed comes as an error of the protocol; everything else is a transport that broke.
      this.#stream.fail(
        error instanceof ConnectError ? error : new ConnectError('The request ended early', Code.Canceled),
      );
    }
  }

  #take(frame: StreamEventsRequest): void {
    const isSend = frame.frame.case === 'send';
    const answer = isSend && this.#others === 0 ? this.#answer(frame) : this.#tail.then(() => this.#answer(frame));
    this.#pending += 1;
    if (!isSend) this.#others += 1;
    this.#tail = this.#reply(this.#tail, answer, frame.requestId, isSend);
  }

  async #reply(before: Promise<void>, answer: Promise<Answer>, requestId: string, isSend: boolean): Promise<void> {
    await before;
    const { outcome, event } = await answer;
    this.#pending -= 1;
    if (!isSend) this.#others -= 1;
    this.#onRoom?.();
    this.#onRoom = undefined;
    if (requestId !== '' || outcome.case === 'error') this.#push(requestId, outcome);
    if (event === undefined) return;
    const frame = toEventFrame(event, undefined, false);
    this.#stream.push({ case: 'event', value: frame.event }, frame.bytes);
  }

  #push(requestId: string, outcome: Result['outcome']): void {
    const text =
      outcome.case === 'ok' && outcome.value.response.case === 'send' ? outcome.value.response.value.message?.text : '';
    this.#stream.push(
      {
        case: 'result',
        value: {
          $typeName: 'carepro.chat.v1.Result',
          requestId: requestId.slice(0, MAX_ID_LENGTH).toWellFormed(),
          outcome,
        },
      },
      FRAME_BYTES + (text ?? '').length * 2,
    );
  }

  /** Never rejects. */
  async #answer(frame: StreamEventsRequest): Promise<Answer> {
    try {
      if (frame.requestId.length > MAX_ID_LENGTH) {
        throw invalidField('request_id', `must not be longer than ${MAX_ID_LENGTH} characters`);
      }
      return await this.#run(frame.frame);
    } catch (error) {
      const cause = internalCause(error);
      if (cause !== undefined) this.#deps.onInternalError(cause);
      return { outcome: { case: 'error', value: toStatus(error) } };
    }
  }

  async #run(frame: StreamEventsRequest['frame']): Promise<Answer> {
    const { chat } = this.#deps;
    const { identity, userId } = this.#stream;
    switch (frame.case) {
      case 'open':
        throw new ChatError('failedPrecondition', 'STREAM_ALREADY_OPEN', 'The stream is open already');
      case 'send':
        return ok({ case: 'send', value: toSendResponse(await chat.send(identity, frame.value)) });
      case 'delivered': {
        const mark = await chat.mark(identity, 'delivered', {
          userId: frame.value.userId,
          upTo: fromUpTo(frame.value.upTo),
        });
        return ok({ case: 'delivered', value: { $typeName: 'carepro.chat.v1.MarkDeliveredResponse', ...mark } });
      }
      case 'read': {
        const mark = await chat.mark(identity, 'read', {
          userId: frame.value.userId,
          upTo: fromUpTo(frame.value.upTo),
        });
        return ok({ case: 'read', value: { $typeName: 'carepro.chat.v1.MarkReadResponse', ...mark } });
      }
      case 'typing':
        chat.signalTyping(identity, { userId, receiverId: frame.value.receiverId, active: frame.value.active });
        return ok(NOTHING);
      case 'watchPresence': {
        const watch = toWatch(frame.value);
        this.#stream.watch(watch);
        const event = await currentPresence(this.#deps.reader, identity, watch);
        return { ...ok(NOTHING), ...(event !== undefined && { event }) };
      }
      case 'refreshToken':
        return ok(await this.#refresh(frame.value.token));
      case 'ping':
        return ok(NOTHING);
      case undefined:
        throw invalidField('frame', 'must be set to a kind of frame that this server knows');
    }
  }

  async #refresh(token: string): Promise<Ok['response']> {
    const verification = await this.#deps.verifier.verify(token === '' ? undefined : token);
    if (!verification.ok) throw tokenError(verification.failure);
    const { identity } = verification;
    this.#stream.refresh(identity);
    this.#deps.profiles.observe(identity);
    const lifetimeMs = Math.max(0, identity.expiresAtMs - this.#deps.clock.now());
    return {
      case: 'tokenRefreshed',
      value: { $typeName: 'carepro.chat.v1.TokenRefreshed', lifetime: toDuration(lifetimeMs) },
    };
  }
}

function ok(response: Ok['response']): Answer {
  return { outcome: { case: 'ok', value: { $typeName: 'carepro.chat.v1.Ok', response } } };
}
