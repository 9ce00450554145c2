/**
 * The use cases that change something: send, acknowledge, delete, typing. (Reading is in reader.ts.)
 *
 * Flow, one way: check → policy → group commit → store → publish. Nothing is published that is not durable, and nothing
 * durable depends on publishing. Knows no door, no driver.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../time/clock.ts';
import { ChatError, invalidField } from './errors.ts';
import type { ConversationRead, MessageSent, StatusAdvanced, StreamEvent } from './events.ts';
import { MAX_PASSED_PER_EVENT } from './events.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Identity } from './identity.ts';
import { checkId, newId } from './ids.ts';
import type { ChatLimits } from './limits.ts';
import { Lru } from './lru.ts';
import type { CursorKind, Message } from './message.ts';
import type { Metrics } from './metrics.ts';
import type { Policy } from './policy.ts';
import type { Advanced, MessagePolicy, MessageStore } from './ports.ts';
import type { Publisher } from './publisher.ts';
import { RateLimit } from './rate-limit.ts';

export interface ChatDependencies {
  readonly store: MessageStore;
  readonly commits: GroupCommit;
  readonly publisher: Publisher;
  readonly policy: Policy;
  readonly messagePolicy: MessagePolicy;
  readonly clock: Clock;
  readonly limits: ChatLimits;
  readonly metrics: Metrics;
}

export interface SendRequest {
  /** Empty or absent = the caller. */
  readonly senderId?: string;
  readonly receiverId: string;
  readonly text: string;
  /** Empty or absent = none. */
  readonly clientMessageId?: string;
  /** True if the client has no way to give an id, so that another door must recognise its retry. */
  readonly withoutId?: boolean;
}

export interface SendResult {
  readonly message: Message;
  readonly duplicate: boolean;
  /** Present if the message policy changed the text. */
  readonly warning?: string;
}

/** Up to where to acknowledge: a message, or everything of one person. */
export type UpTo = { readonly messageId: string } | { readonly otherUserId: string };

export interface MarkResult {
  readonly upToSeq: number;
  readonly moved: boolean;
}

/** Up to where a cursor goes, in the conversation with whom. */
interface Target {
  readonly otherId: string;
  readonly toSeq: number;
}

/** What acknowledging needs to know of a message. */
type MessageRef = Pick<Message, 'seq' | 'senderId' | 'receiverId'>;

const RECENT_MESSAGES = 20_000;

export class Chat {
  readonly #deps: ChatDependencies;
  readonly #sends: RateLimit;
  readonly #recent = new Lru<string, MessageRef>(RECENT_MESSAGES);

  constructor(dependencies: ChatDependencies) {
    this.#deps = dependencies;
    this.#sends = new RateLimit(dependencies.clock, {
      perSecond: dependencies.limits.sendsPerSecond,
      burst: dependencies.limits.sendBurst,
    });
  }

  /**
   * Stores a message durably, then publishes it to receiver and sender. A retry under the same client id returns the
   * first message and publishes nothing.
   * @throws ChatError `invalidArgument`, `permissionDenied`, `alreadyExists`, `resourceExhausted`, `unavailable`.
   */
  async send(identity: Identity, request: SendRequest): Promise<SendResult> {
    const { clock, commits, messagePolicy, metrics, policy, publisher } = this.#deps;
    const senderId = policy.authorize(identity, 'sendMessage', request.senderId, 'sender_id');
    const receiverId = checkId(request.receiverId, 'receiver_id');
    const original = this.#checkText(request.text);
    if (senderId === receiverId) {
      throw new ChatError('invalidArgument', 'RECEIVER_IS_SENDER', 'Cannot send messages to yourself', {
        violations: [{ field: 'receiver_id', description: 'must be another user than the sender' }],
      });
    }
    const clientMessageId = request.clientMessageId ? checkId(request.clientMessageId, 'client_message_id') : undefined;
    this.#limitRate(senderId);
    const { text, warning } = messagePolicy.review({ senderId, receiverId, text: original });
    const nowMs = clock.now();
    const outcome = await commits.submit({
      type: 'append',
      id: newId(nowMs),
      senderId,
      receiverId,
      text,
      atMs: nowMs,
      ...(clientMessageId !== undefined && { clientMessageId, digest: sendDigest(receiverId, original) }),
      ...(request.withoutId && { withoutId: true }),
    });
    if (outcome.type === 'conflict') throw clientIdReused();
    const { message, duplicate } = outcome;
    if (!duplicate) {
      this.#recent.set(message.id, { seq: message.seq, senderId, receiverId });
      metrics.count('chat_messages_sent_total');
      const event: MessageSent = { type: 'messageSent', message };
      if (clientMessageId === undefined) {
        publisher.publish(event, receiverId, senderId);
      } else {
        publisher.publish(event, receiverId);
        publisher.publish({ ...event, clientMessageId }, senderId);
      }
      if (warning !== undefined) publisher.publish({ type: 'messageRedacted', message, warning }, senderId);
    }
    return { message, duplicate, ...(warning !== undefined && { warning }) };
  }

  /** Binds a further client id to an existing message of `senderId`, so that retries under it find that message. */
  async bindClientId(message: Message, clientMessageId: string, originalText: string): Promise<void> {
    const outcome = await this.#deps.commits.submit({
      type: 'bind',
      senderId: message.senderId,
      clientMessageId,
      digest: sendDigest(message.receiverId, originalText),
      messageId: message.id,
    });
    if (outcome.type === 'conflict') throw clientIdReused();
  }

  /**
   * Moves the delivered or read cursor of a user up to a message or to the end of a conversation, and tells the other
   * person of every message passed. Idempotent; never moves back.
   * @throws ChatError `notFound`, `permissionDenied` (the message was sent to somebody else), `invalidArgument`.
   */
  async mark(
    identity: Identity,
    status: 'delivered' | 'read',
    request: { userId?: string; upTo: UpTo },
  ): Promise<MarkResult> {
    const readerId = this.#deps.policy.authorize(identity, 'markStatus', request.userId);
    const found = this.#target(readerId, request.upTo);
    // Mostly known at once: then the mark enters the commit in the order of the calls, and costs no turn.
    const target = found instanceof Promise ? await found : found;
    const whole = 'otherUserId' in request.upTo;
    const atMs = this.#deps.clock.now();
    let moved = false;
    for (;;) {
      const outcome = await this.#deps.commits.submit({
        type: 'advance',
        personId: readerId,
        otherId: target.otherId,
        kind: status,
        toSeq: target.toSeq,
        atMs,
      });
      if (outcome.type === 'missing') return { upToSeq: 0, moved: false };
      const upToSeq = outcome.current[status];
      if (outcome.current[status] > outcome.previous[status]) moved = true;
      this.#announceStatus(status, readerId, target.otherId, outcome, atMs);
      if (outcome.more && upToSeq > outcome.previous[status]) continue;
      if (whole && status === 'read' && moved) {
        const event: ConversationRead = { type: 'conversationRead', readerId, senderId: target.otherId, upToSeq, atMs };
        this.#deps.publisher.publish(event, target.otherId, readerId);
      }
      return { upToSeq, moved };
    }
  }

  /**
   * Records evidence that a device of `userId` has everything of `otherId` up to `seq`. Internal: nobody is told.
   * @param withoutHoleBelow see `AdvanceOp`; set when the evidence begins somewhere in the conversation.
   */
  async noteReceived(userId: string, otherId: string, seq: number, withoutHoleBelow?: number): Promise<void> {
    const kind: CursorKind = 'received';
    await this.#deps.commits.submit({
      type: 'advance',
      personId: userId,
      otherId,
      kind,
      toSeq: seq,
      atMs: this.#deps.clock.now(),
      ...(withoutHoleBelow !== undefined && { withoutHoleBelow }),
    });
  }

  /**
   * Deletes a message for both people; its tombstone keeps the place. Idempotent.
   * @returns the tombstone.
   * @throws ChatError `notFound`, `permissionDenied` (somebody else sent it).
   */
  async deleteMessage(identity: Identity, request: { userId?: string; messageId: string }): Promise<Message> {
    const byUserId = this.#deps.policy.authorize(identity, 'deleteMessage', request.userId);
    const ref = await this.#find(request.messageId);
    if (ref.senderId !== byUserId) {
      if (ref.receiverId !== byUserId) throw messageNotFound();
      throw new ChatError('permissionDenied', 'NOT_MESSAGE_SENDER', 'You can only delete your own messages');
    }
    const atMs = this.#deps.clock.now();
    const outcome = await this.#deps.commits.submit({ type: 'delete', messageId: request.messageId, atMs });
    if (outcome.type === 'missing') throw messageNotFound();
    const { message, alreadyDeleted } = outcome;
    if (alreadyDeleted) return message;
    const { id: messageId, seq, senderId, receiverId } = message;
    this.#deps.publisher.publish(
      { type: 'messageDeleted', messageId, seq, senderId, receiverId, byUserId, atMs },
      senderId,
      receiverId,
    );
    return { ...message, text: '', deletedAtMs: atMs };
  }

  /** Told of the events that arrive for users who are connected here: what they acknowledge next need not be looked up. */
  noteEvent(event: StreamEvent): void {
    if (event.type !== 'messageSent' && event.type !== 'messageDeleted') return;
    this.#deps.store.noteEvent?.(event);
    if (event.type === 'messageDeleted') return;
    const { id, receiverId, senderId, seq } = event.message;
    if (this.#recent.get(id) === undefined) this.#recent.set(id, { seq, senderId, receiverId });
  }

  /** Tells `receiverId`'s connected sessions that the user is writing, or stopped. Not stored. */
  signalTyping(identity: Identity, request: { userId?: string; receiverId: string; active: boolean }): void {
    const fromUserId = this.#deps.policy.authorize(identity, 'signalTyping', request.userId);
    const toUserId = checkId(request.receiverId, 'receiver_id');
    this.#limitRate(fromUserId);
    this.#deps.publisher.signal({ type: 'typing', fromUserId, toUserId, active: request.active }, toUserId);
  }

  #announceStatus(
    status: 'delivered' | 'read',
    readerId: string,
    senderId: string,
    outcome: Advanced,
    atMs: number,
  ): void {
    const upToSeq = outcome.current[status];
    if (upToSeq <= outcome.previous[status]) return;
    const { passed } = outcome;
    let fromSeq = outcome.previous[status];
    for (let from = 0; from === 0 || from < passed.length; from += MAX_PASSED_PER_EVENT) {
      const slice = passed.slice(from, from + MAX_PASSED_PER_EVENT);
      const last = from + MAX_PASSED_PER_EVENT >= passed.length;
      const toSeq = last ? upToSeq : (slice.at(-1)?.seq ?? upToSeq);
      const event: StatusAdvanced = {
        type: 'statusAdvanced',
        status,
        readerId,
        senderId,
        fromSeq,
        upToSeq: toSeq,
        messageIds: slice.map((message) => message.id),
        atMs,
      };
      this.#deps.publisher.publish(event, senderId, readerId);
      fromSeq = toSeq;
    }
  }

  #target(readerId: string, upTo: UpTo): Target | Promise<Target> {
    if ('otherUserId' in upTo) {
      return { otherId: checkId(upTo.otherUserId, 'other_user_id'), toSeq: Number.MAX_SAFE_INTEGER };
    }
    const known = this.#recent.get(checkId(upTo.messageId, 'message_id'));
    if (known !== undefined) return targetOf(readerId, known);
    return this.#find(upTo.messageId).then((ref) => targetOf(readerId, ref));
  }

  async #find(messageId: string): Promise<MessageRef> {
    const id = checkId(messageId, 'message_id');
    const known = this.#recent.get(id);
    if (known !== undefined) return known;
    const message = await this.#deps.store.findMessage(id);
    if (message === undefined) throw messageNotFound();
    const { seq, senderId, receiverId } = message;
    this.#recent.set(id, { seq, senderId, receiverId });
    return message;
  }

  #checkText(text: unknown): string {
    if (typeof text !== 'string') throw invalidField('text', 'must be a string');
    const max = this.#deps.limits.textMaxCharacters;
    if (text.length > max) {
      throw new ChatError('invalidArgument', 'TEXT_TOO_LONG', 'Message exceeds maximum length', {
        violations: [{ field: 'text', description: `must not be longer than ${max} characters` }],
      });
    }
    if (text.trim() === '') {
      throw new ChatError('invalidArgument', 'TEXT_EMPTY', 'Message must not be empty', {
        violations: [{ field: 'text', description: 'must hold more than white space' }],
      });
    }
    return text.toWellFormed();
  }

  #limitRate(userId: string): void {
    const retryAfterMs = this.#sends.take(userId);
    if (retryAfterMs === 0) return;
    this.#deps.metrics.count('chat_rate_limited_total');
    throw new ChatError('resourceExhausted', 'RATE_LIMITED', 'Too many messages, slow down', { retryAfterMs });
  }
}

/** Up to where a reader acknowledges with a message. */
function targetOf(readerId: string, ref: MessageRef): Target {
  if (ref.receiverId !== readerId) {
    if (ref.senderId !== readerId) throw messageNotFound();
    throw new ChatError('permissionDenied', 'NOT_MESSAGE_RECEIVER', 'You can only mark messages sent to you as read');
  }
  return { otherId: ref.senderId, toSeq: ref.seq };
}

/** Digest of what a client asked to send; a retry must have the same. */
function sendDigest(receiverId: string, text: string): string {
  return createHash('sha256').update(receiverId).update('\0').update(text).digest('base64url');
}

function clientIdReused(): ChatError {
  return new ChatError(
    'alreadyExists',
    'CLIENT_MESSAGE_ID_REUSED',
    'This client message id was already used for another message',
    { violations: [{ field: 'client_message_id', description: 'must be new for a new message' }] },
  );
}

/** A message that the caller has no part in is answered like one that does not exist. */
function messageNotFound(): ChatError {
  return new ChatError('notFound', 'MESSAGE_NOT_FOUND', 'Message not found');
}
