/**
 * What the threads say to each other. Requests are pipelined and answered in any order by number; a batch of writes is
 * one flat array each way, because cloning a hundred small objects costs more than storing them.
 *
 * A new message is answered by its seq and time alone: the asking side knows the rest.
 */
import { ChatError } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import type { AppendOp, WriteOp, WriteOutcome } from '../../core/ports.ts';

/** One question to a worker. `kind` names what to do, `body` is what that needs. */
export type Request = readonly [number: number, kind: string, body: unknown];

/** One answer: the result, or the failure. */
export type Reply = readonly [number: number, failure: Failure | undefined, result: unknown];

/** Why a request failed, in a form that can be cloned. */
export interface Failure {
  /**
   * `busy`: another process holds a lock. `damaged`: the file, the disk or the connection is in trouble. `unusable`:
   * only an operator can help; the message says how. `asked`: the caller asked for what cannot be, `error` says what.
   * `request`: this request failed for a reason nobody foresaw.
   */
  readonly kind: 'busy' | 'damaged' | 'unusable' | 'asked' | 'request';
  /** For the log; holds nothing that a user wrote. */
  readonly message: string;
  /** Parts of a `ChatError` that is for the caller. */
  readonly error?: Pick<ChatError, 'code' | 'reason' | 'message' | 'violations'>;
}

/** Settings of both workers. */
export interface WorkerSettings {
  readonly path: string;
  readonly busyTimeoutMs: number;
}

/* Types are numbers on the wire; everything else keeps its value. */
const APPEND = 0;
const ADVANCE = 1;
const DELETE = 2;
const BIND = 3;

export function encodeOperations(operations: readonly WriteOp[]): unknown[] {
  const flat: unknown[] = [];
  for (const op of operations) {
    switch (op.type) {
      case 'append':
        flat.push(APPEND, op.id, op.senderId, op.receiverId, op.text, op.atMs, op.clientMessageId, op.digest);
        flat.push(op.withoutId);
        break;
      case 'advance':
        flat.push(ADVANCE, op.personId, op.otherId, op.kind, op.toSeq, op.withoutHoleBelow, op.atMs);
        break;
      case 'delete':
        flat.push(DELETE, op.messageId, op.atMs);
        break;
      case 'bind':
        flat.push(BIND, op.senderId, op.clientMessageId, op.digest, op.messageId);
        break;
    }
  }
  return flat;
}

/** Reads a flat array value by value. The threads are of one build, so types are taken on trust. */
class FlatReader {
  readonly #values: readonly unknown[];
  #at = 0;

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  get done(): boolean {
    return this.#at >= this.#values.length;
  }

  next<T>(): T {
    const value = this.#values[this.#at] as T;
    this.#at += 1;
    return value;
  }
}

/** Makes an operation from flat values; absent options come as undefined, which the writer treats alike. */
export function decodeOperations(values: readonly unknown[]): WriteOp[] {
  const flat = new FlatReader(values);
  const operations: WriteOp[] = [];
  while (!flat.done) operations.push(decodeOperation(flat) as WriteOp);
  return operations;
}

function decodeOperation(flat: FlatReader): object {
  switch (flat.next<number>()) {
    case APPEND:
      return {
        type: 'append',
        id: flat.next(),
        senderId: flat.next(),
        receiverId: flat.next(),
        text: flat.next(),
        atMs: flat.next(),
        clientMessageId: flat.next(),
        digest: flat.next(),
        withoutId: flat.next(),
      };
    case ADVANCE:
      return {
        type: 'advance',
        personId: flat.next(),
        otherId: flat.next(),
        kind: flat.next(),
        toSeq: flat.next(),
        withoutHoleBelow: flat.next(),
        atMs: flat.next(),
      };
    case DELETE:
      return { type: 'delete', messageId: flat.next(), atMs: flat.next() };
    default:
      return {
        type: 'bind',
        senderId: flat.next(),
        clientMessageId: flat.next(),
        digest: flat.next(),
        messageId: flat.next(),
      };
  }
}

const APPENDED = 0;
const DUPLICATE = 1;
const CONFLICT = 2;
const ADVANCED = 3;
const DELETED = 4;
const BOUND = 5;
const MISSING = 6;
const FAILED = 7;

export function encodeOutcomes(outcomes: readonly WriteOutcome[]): unknown[] {
  const flat: unknown[] = [];
  for (const outcome of outcomes) {
    switch (outcome.type) {
      case 'appended':
        if (outcome.duplicate) flat.push(DUPLICATE, outcome.message);
        else flat.push(APPENDED, outcome.message.seq, outcome.message.sentAtMs);
        break;
      case 'conflict':
        flat.push(CONFLICT);
        break;
      case 'advanced': {
        const { previous, current, passed } = outcome;
        flat.push(ADVANCED, previous.received, previous.delivered, previous.read);
        flat.push(current.received, current.delivered, current.read, outcome.more, passed.length);
        for (const message of passed) flat.push(message.id, message.seq);
        break;
      }
      case 'deleted':
        flat.push(DELETED, outcome.message, outcome.alreadyDeleted);
        break;
      case 'bound':
        flat.push(BOUND);
        break;
      case 'missing':
        flat.push(MISSING);
        break;
      case 'failed':
        flat.push(FAILED, outcome.error.message);
        break;
    }
  }
  return flat;
}

/** @param operations what was asked, in the same order. */
export function decodeOutcomes(values: readonly unknown[], operations: readonly WriteOp[]): WriteOutcome[] {
  const flat = new FlatReader(values);
  return operations.map((operation) => decodeOutcome(flat, operation));
}

function decodeOutcome(flat: FlatReader, operation: WriteOp): WriteOutcome {
  switch (flat.next<number>()) {
    case APPENDED: {
      const { id, senderId, receiverId, text } = operation as AppendOp;
      const message = { id, seq: flat.next<number>(), senderId, receiverId, text, sentAtMs: flat.next<number>() };
      return { type: 'appended', message, duplicate: false };
    }
    case DUPLICATE:
      return { type: 'appended', message: flat.next<Message>(), duplicate: true };
    case CONFLICT:
      return { type: 'conflict' };
    case ADVANCED: {
      const previous = { received: flat.next<number>(), delivered: flat.next<number>(), read: flat.next<number>() };
      const current = { received: flat.next<number>(), delivered: flat.next<number>(), read: flat.next<number>() };
      const more = flat.next<boolean>();
      const passed = Array.from({ length: flat.next<number>() }, () => ({
        id: flat.next<string>(),
        seq: flat.next<number>(),
      }));
      return { type: 'advanced', previous, current, passed, more };
    }
    case DELETED:
      return { type: 'deleted', message: flat.next<Message>(), alreadyDeleted: flat.next<boolean>() };
    case BOUND:
      return { type: 'bound' };
    case MISSING:
      return { type: 'missing' };
    default: {
      const cause = new Error(flat.next<string>());
      return { type: 'failed', error: new ChatError('internal', 'INTERNAL', 'This could not be stored', { cause }) };
    }
  }
}
