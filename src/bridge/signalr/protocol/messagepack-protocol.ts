/**
 * The MessagePack hub protocol (HubProtocol.md, "MessagePack (MsgPack) Encoding"): a record is its length as a base-128 number of one
 * to five bytes, then a MessagePack array.
 *
 * Strictness is the reference's: elements stand where they must and have their types, more of them than are known are let pass, and
 * arguments that are wrong or no MessagePack at all fail their call only. Types the protocol does not know are ignored, as its text demands
 * (the reference stops listening instead). Text that is not UTF-8 does not fit any parameter (the reference mends it).
 */
import { WRONG_ITEM, WRONG_RESULT, WRONG_TYPES, wrongCount } from './binding-failures.ts';
import { type MemberNaming, renameOf } from './member-names.ts';
import { MessagePackReader } from './messagepack-reader.ts';
import { messagePackForms, type ReadValue, recordOf, valueOfKind } from './messagepack-values.ts';
import { type InboundMessage, type InvocationMessage, messageType } from './messages.ts';
import type { MethodEntry } from './method-table.ts';
import type { ParameterKind } from './parameters.ts';
import { type Binder, type HubProtocol, InvalidRecordError } from './protocol.ts';
import { formOf, type ValueForms } from './value-forms.ts';

const MAXIMUM_PREFIX_BYTES = 5;
/** What the fifth byte of a length may be at most: a length has 31 bits. */
const MAXIMUM_LAST_BYTE = 7;
/** Depth of a value among the arguments: the record, and the array of arguments. */
const ARGUMENT_DEPTH = 2;
/** Elements of an invocation that has stream ids. */
const WITH_STREAM_IDS = 6;
/** Elements of a Close that says whether to reconnect. */
const WITH_RECONNECT = 3;
const NOTHING: readonly never[] = [];
const NO_HEADERS = {};

/** What a completion carries. */
const resultKind = { error: 1, none: 2, value: 3 } as const;

/** The protocol for hubs whose members are named so. Always the same one for the same naming. */
export function messagePackProtocolOf(naming: MemberNaming): HubProtocol {
  return naming === 'as-written' ? messagePackProtocol : camelCaseProtocol;
}

function createProtocol(forms: ValueForms): HubProtocol {
  const inForm = (value: unknown): unknown => formOf(value, forms);
  return {
    name: 'messagepack',
    transferFormat: 'Binary',
    maximumVersion: 2,
    ping: recordOf([messageType.ping]),

    recordEnd(data, start) {
      let length = 0;
      for (let index = 0; index < MAXIMUM_PREFIX_BYTES; index += 1) {
        const byte = data[start + index];
        if (byte === undefined) return -1;
        if (index === MAXIMUM_PREFIX_BYTES - 1 && byte > MAXIMUM_LAST_BYTE) break;
        length += (byte & 0x7f) * 2 ** (7 * index);
        if (byte < 0x80) return start + index + 1 + length;
      }
      throw new InvalidRecordError('Messages over 2GB in size are not supported.');
    },

    parse(data, start, end, binder) {
      let payload = start;
      while ((data[payload] ?? 0) >= 0x80) payload += 1;
      return read(new MessagePackReader(data, payload + 1, end), binder);
    },

    writeInvocation(target, args, invocationId) {
      return recordOf([messageType.invocation, NO_HEADERS, invocationId ?? null, target, args.map(inForm), NOTHING]);
    },

    writeStreamItem(invocationId, item) {
      return recordOf([messageType.streamItem, NO_HEADERS, invocationId, inForm(item)]);
    },

    writeResult(invocationId, result) {
      return recordOf([messageType.completion, NO_HEADERS, invocationId, resultKind.value, inForm(result)]);
    },

    writeStreamEnd(invocationId) {
      return recordOf([messageType.completion, NO_HEADERS, invocationId, resultKind.none]);
    },

    writeError(invocationId, error) {
      return recordOf([messageType.completion, NO_HEADERS, invocationId, resultKind.error, inForm(error)]);
    },

    writeClose({ error, allowReconnect }) {
      return recordOf([messageType.close, error === undefined ? null : inForm(error), allowReconnect === true]);
    },

    writeAck(sequenceId) {
      return recordOf([messageType.ack, inForm(sequenceId)]);
    },

    writeSequence(sequenceId) {
      return recordOf([messageType.sequence, inForm(sequenceId)]);
    },
  };
}

export const messagePackProtocol: HubProtocol = createProtocol(messagePackForms(undefined));
const camelCaseProtocol: HubProtocol = createProtocol(messagePackForms(renameOf('camelCase')));

function read(reader: MessagePackReader, binder: Binder): InboundMessage {
  const length = reader.arrayLength('message');
  const type = reader.integer('type');
  switch (type) {
    case messageType.invocation:
    case messageType.streamInvocation:
      return readInvocation(type, length, reader, binder);
    case messageType.streamItem: {
      reader.skipHeaders();
      const invocationId = requiredText(reader, 'invocationId');
      const kind = binder.itemKind(invocationId);
      // The item of no stream is not even looked at.
      if (kind === undefined) return { type, invocationId, item: undefined, bindingFailure: undefined };
      return { type, invocationId, ...bound(kind, reader, WRONG_ITEM) };
    }
    case messageType.completion:
      return readCompletion(reader, binder);
    case messageType.cancelInvocation:
      reader.skipHeaders();
      return { type, invocationId: requiredText(reader, 'invocationId') };
    case messageType.ping:
      return { type };
    case messageType.close: {
      const error = reader.text('error') ?? undefined;
      // Whether the client would reconnect is no business of the server, but it must be an answer.
      if (length >= WITH_RECONNECT) reader.boolean('allowReconnect');
      return { type, error };
    }
    case messageType.ack:
    case messageType.sequence:
      return { type, sequenceId: reader.integer('sequenceId') };
    default:
      return { type: 'ignored' };
  }
}

function readInvocation(
  type: InvocationMessage['type'],
  length: number,
  reader: MessagePackReader,
  binder: Binder,
): InvocationMessage {
  reader.skipHeaders();
  const invocationId = reader.text('invocationId') || undefined;
  if (type === messageType.streamInvocation && invocationId === undefined) throw missing('invocationId');
  const target = requiredText(reader, 'target');
  const method = binder.method(target);
  const args: unknown[] = [];
  let bindingFailure: string | undefined;
  try {
    bindingFailure = readArguments(method, args, reader);
  } catch (error) {
    if (!(error instanceof InvalidRecordError)) throw error;
    // Nobody can tell where the arguments end; the next record begins where this one's length says.
    return { type, invocationId, target, method, args: NOTHING, streamIds: NOTHING, bindingFailure: WRONG_TYPES };
  }
  const streamIds = length >= WITH_STREAM_IDS ? readStreamIds(reader) : NOTHING;
  return { type, invocationId, target, method, args, streamIds, bindingFailure };
}

/** Fills `args` with what fits the method; answers what is wrong when it does not fit. Reads to the end of the arguments, or throws InvalidRecordError. */
function readArguments(
  method: MethodEntry | undefined,
  args: unknown[],
  reader: MessagePackReader,
): string | undefined {
  if (!reader.isAtArray || method === undefined) {
    reader.skip();
    return method === undefined ? undefined : WRONG_TYPES;
  }
  const given = reader.arrayLength('arguments');
  const { parameters } = method;
  const fits = given >= method.requiredCount && given <= parameters.length;
  let failure = fits ? undefined : wrongCount(given, parameters.length);
  for (let index = 0; index < given; index += 1) {
    const start = reader.position;
    reader.skip(ARGUMENT_DEPTH);
    const parameter = parameters[index];
    if (failure !== undefined || parameter === undefined) continue;
    if (parameter.fallback !== undefined && reader.isNilAt(start)) {
      args.push(parameter.fallback.value);
      continue;
    }
    const read = valueOfKind(reader, start, parameter.kind);
    if (read === undefined) failure = WRONG_TYPES;
    else args.push(read.value);
  }
  if (failure === undefined) for (const { fallback } of parameters.slice(given)) args.push(fallback?.value);
  return failure;
}

function readCompletion(
  reader: MessagePackReader,
  binder: Binder,
): Extract<InboundMessage, { type: typeof messageType.completion }> {
  const type = messageType.completion;
  reader.skipHeaders();
  const invocationId = requiredText(reader, 'invocationId');
  const nothing = {
    type,
    invocationId,
    error: undefined,
    hasResult: false,
    result: undefined,
    bindingFailure: undefined,
  };
  switch (reader.integer('resultKind')) {
    case resultKind.error:
      return { ...nothing, error: reader.text('error') ?? '' };
    case resultKind.none:
      return nothing;
    case resultKind.value: {
      const kind = binder.resultKind(invocationId);
      if (kind === undefined) {
        reader.skip();
        return { ...nothing, hasResult: true };
      }
      const { item, bindingFailure } = bound(kind, reader, WRONG_RESULT);
      return { ...nothing, hasResult: true, result: item, bindingFailure };
    }
    default:
      throw new InvalidRecordError('Invalid invocation result kind.');
  }
}

/** The value that follows; `failure` says what to call it when it does not fit. */
function bound(
  kind: ParameterKind,
  reader: MessagePackReader,
  failure: string,
): { readonly item: unknown; readonly bindingFailure: string | undefined } {
  const start = reader.position;
  let read: ReadValue | undefined;
  try {
    reader.skip();
    read = valueOfKind(reader, start, kind);
  } catch (error) {
    if (!(error instanceof InvalidRecordError)) throw error;
  }
  return { item: read?.value, bindingFailure: read === undefined ? failure : undefined };
}

function readStreamIds(reader: MessagePackReader): readonly string[] {
  const count = reader.arrayLength('streamIds');
  if (count === 0) return NOTHING;
  const streamIds: string[] = [];
  for (let index = 0; index < count; index += 1) streamIds.push(requiredText(reader, 'streamIds'));
  return streamIds;
}

/** Text that is there; the reference refuses empty names and ids too. */
function requiredText(reader: MessagePackReader, what: string): string {
  const text = reader.text(what);
  if (text === null || text === '') throw missing(what);
  return text;
}

function missing(what: string): InvalidRecordError {
  return new InvalidRecordError(`Missing required value '${what}'.`);
}
