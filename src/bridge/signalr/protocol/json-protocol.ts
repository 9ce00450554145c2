/**
 * The JSON hub protocol (HubProtocol.md, "JSON encoding"): a record is one JSON object followed by 0x1E.
 *
 * Strictness is the reference's: member names are case-sensitive, of duplicate members the last counts, a record nested
 * over 64 deep or lacking a required member is refused. Types the protocol does not know are ignored, as its text
 * demands (the reference stops listening instead).
 */
import { isUtf8 } from 'node:buffer';
import { isTooDeep, mayHoldInexactNumber, parseWithSources, SourcedNumber, withoutSources } from './json-source.ts';
import { type InboundMessage, type InvocationMessage, messageType } from './messages.ts';
import type { MethodEntry, MethodTable } from './method-table.ts';
import { isOfKind } from './parameters.ts';
import { type HubProtocol, InvalidRecordError } from './protocol.ts';

/** Ends every record. */
export const RECORD_SEPARATOR = 0x1e;
const SEPARATOR = '\u001e';
const NO_ARGUMENTS: readonly unknown[] = [];
const WRONG_TYPES =
  'Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.';
const PLAIN_INTEGER = /^-?[0-9]+$/;

interface WireMessage {
  readonly type?: unknown;
  readonly invocationId?: unknown;
  readonly target?: unknown;
  readonly arguments?: unknown;
  readonly streamIds?: unknown;
  readonly item?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
  readonly sequenceId?: unknown;
}

export const jsonProtocol: HubProtocol = {
  name: 'json',
  maximumVersion: 2,
  ping: `{"type":6}${SEPARATOR}`,

  recordEnd(data, start) {
    return data.indexOf(RECORD_SEPARATOR, start) + 1 || -1;
  },

  parse(data, start, end, methods) {
    const text = data.toString('utf8', start, end - 1);
    const message = parseObject(text);
    if (isTooDeep(message, text.length)) throw new InvalidRecordError('Error reading JSON.');
    // Text frames have been checked by the transport; in a binary frame the bytes may be anything.
    const isBroken = text.includes('\ufffd') && !isUtf8(data.subarray(start, end - 1));
    return read(message, text, isBroken, methods);
  },

  writeInvocation(target, args) {
    return `{"type":1,"target":${JSON.stringify(target)},"arguments":${JSON.stringify(args)}}${SEPARATOR}`;
  },

  writeResult(invocationId, result) {
    const value = result === undefined || result === null ? 'null' : (JSON.stringify(result) ?? 'null');
    return `{"type":3,"invocationId":${JSON.stringify(invocationId)},"result":${value}}${SEPARATOR}`;
  },

  writeError(invocationId, error) {
    return `{"type":3,"invocationId":${JSON.stringify(invocationId)},"error":${JSON.stringify(error)}}${SEPARATOR}`;
  },

  writeClose({ error, allowReconnect }) {
    const errorMember = error === undefined ? '' : `,"error":${JSON.stringify(error)}`;
    return `{"type":7${errorMember}${allowReconnect === true ? ',"allowReconnect":true' : ''}}${SEPARATOR}`;
  },
};

function parseObject(text: string): WireMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidRecordError('Error reading JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidRecordError('Expected a JSON object.');
  }
  return value;
}

function read(message: WireMessage, text: string, isBroken: boolean, methods: MethodTable): InboundMessage {
  const { type } = message;
  switch (type) {
    case messageType.invocation:
    case messageType.streamInvocation:
      return readInvocation(type, message, text, isBroken, methods);
    case messageType.ping:
      return { type };
    case messageType.close:
      return { type, error: optionalString(message.error, 'error') };
    case messageType.streamItem:
      if (message.item === undefined) throw missing('item');
      return { type, invocationId: requiredString(message.invocationId, 'invocationId') };
    case messageType.completion:
      if (message.result !== undefined && message.error !== undefined) {
        throw new InvalidRecordError("The 'error' and 'result' properties are mutually exclusive.");
      }
      return { type, invocationId: requiredString(message.invocationId, 'invocationId') };
    case messageType.cancelInvocation:
      return { type, invocationId: requiredString(message.invocationId, 'invocationId') };
    case messageType.ack:
    case messageType.sequence:
      if (typeof message.sequenceId !== 'number') throw missing('sequenceId');
      return { type, sequenceId: message.sequenceId };
    case undefined:
      throw missing('type');
    default:
      if (typeof type !== 'number' || !Number.isInteger(type)) {
        throw new InvalidRecordError("Expected 'type' to be of type Number.");
      }
      return { type: 'ignored' };
  }
}

function readInvocation(
  type: InvocationMessage['type'],
  message: WireMessage,
  text: string,
  isBroken: boolean,
  methods: MethodTable,
): InvocationMessage {
  const invocationId = optionalString(message.invocationId, 'invocationId') || undefined;
  if (type === messageType.streamInvocation && invocationId === undefined) throw missing('invocationId');
  const target = requiredString(message.target, 'target');
  const given = message.arguments;
  if (!Array.isArray(given)) throw given === undefined ? missing('arguments') : wrongType('arguments', 'Array');
  const streamCount = countStreams(message.streamIds);
  const method = methods.find(target);
  if (method === undefined) {
    return { type, invocationId, target, method, args: NO_ARGUMENTS, streamCount, bindingFailure: undefined };
  }
  if (isBroken) return { type, invocationId, target, method, args: given, streamCount, bindingFailure: WRONG_TYPES };
  const bindingFailure = bind(method, given, text);
  return { type, invocationId, target, method, args: given, streamCount, bindingFailure };
}

/** Makes `args`, which is the message's own array, fit the method; answers what is wrong when it cannot. */
function bind(method: MethodEntry, args: unknown[], text: string): string | undefined {
  const { parameters } = method;
  if (args.length < method.requiredCount || args.length > parameters.length) {
    return `Invocation provides ${args.length} argument(s) but target expects ${parameters.length}.`;
  }
  let sourced: readonly unknown[] | undefined;
  for (let index = 0; index < parameters.length; index += 1) {
    const parameter = parameters[index];
    if (parameter === undefined) break;
    const value = args[index];
    if (parameter.fallback !== undefined && (value === undefined || value === null)) {
      args[index] = parameter.fallback.value;
      continue;
    }
    const { kind } = parameter;
    if (!isOfKind(kind, value)) return WRONG_TYPES;
    if ((kind === 'int' || kind === 'json') && mayHoldInexactNumber(text)) {
      sourced ??= (parseWithSources(text) as { readonly arguments: readonly unknown[] }).arguments;
      const original = sourced[index];
      if (kind === 'json') args[index] = withoutSources(original, true);
      else if (original instanceof SourcedNumber && !PLAIN_INTEGER.test(original.source)) return WRONG_TYPES;
    }
  }
  return undefined;
}

function countStreams(streamIds: unknown): number {
  if (streamIds === undefined || streamIds === null) return 0;
  if (!Array.isArray(streamIds)) throw wrongType('streamIds', 'Array');
  return streamIds.length;
}

function optionalString(value: unknown, member: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw wrongType(member, 'String');
}

function requiredString(value: unknown, member: string): string {
  if (typeof value === 'string') return value;
  throw value === undefined ? missing(member) : wrongType(member, 'String');
}

function missing(member: string): InvalidRecordError {
  return new InvalidRecordError(`Missing required property '${member}'.`);
}

function wrongType(member: string, expected: string): InvalidRecordError {
  return new InvalidRecordError(`Expected '${member}' to be of type ${expected}.`);
}
