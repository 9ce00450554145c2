/** How the server ends a stream: the frame that says goodbye, and the error after it. */
import { GoingAwayReason, type StreamEventsResponse } from '../../gen/carepro/chat/v1/chat_service_pb.ts';
import { ChatError } from '../core/errors.ts';
import type { EndReason } from '../core/session.ts';
import { toDuration } from './convert.ts';
import { shuttingDown } from './live-streams.ts';

/** A frame of StreamEvents; those of Subscribe are a subset. */
export type ServerFrame = Exclude<StreamEventsResponse['frame'], { case: undefined }>;

export interface Farewell {
  readonly reason: EndReason;
  readonly reconnectAfterMs: number;
}

const REASONS: Readonly<Record<EndReason, GoingAwayReason>> = {
  shuttingDown: GoingAwayReason.SHUTTING_DOWN,
  tokenExpired: GoingAwayReason.TOKEN_EXPIRED,
  revoked: GoingAwayReason.TOKEN_EXPIRED,
  slowConsumer: GoingAwayReason.SLOW_CONSUMER,
};

/** The last frame of a stream that the server ends. */
export function goingAway(farewell: Farewell): ServerFrame {
  return {
    case: 'goingAway',
    value: {
      $typeName: 'carepro.chat.v1.GoingAway',
      reason: REASONS[farewell.reason],
      reconnectAfter: toDuration(farewell.reconnectAfterMs),
    },
  };
}

/** The error that follows it. */
export function endError(reason: EndReason, retryAfterMs: number): ChatError {
  switch (reason) {
    case 'shuttingDown':
      return shuttingDown(retryAfterMs);
    case 'tokenExpired':
      return new ChatError('unauthenticated', 'TOKEN_EXPIRED', 'The token has expired');
    case 'revoked':
      return new ChatError('unauthenticated', 'TOKEN_INVALID', 'The token was revoked');
    case 'slowConsumer':
      return new ChatError('resourceExhausted', 'SLOW_CONSUMER', 'The stream was not read fast enough, reconnect', {
        retryAfterMs,
      });
  }
}
