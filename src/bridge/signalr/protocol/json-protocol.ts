/**
 * The JSON hub protocol (HubProtocol.md, "JSON encoding"): a record is one JSON object followed by 0x1E.
 *
 * Strictness is the reference's: member names are case-sensitive, of duplicate members the last counts, a record nested
 * over 64 deep or lacking a required member is refused. Types the protocol does not know are ignored, as its text
 * demands (the reference stops listening instead).
 */
import { isUtf8 } from 'node:buffer';
import { WRONG_ITEM, WRONG_RESULT, WRONG_TYPES, wrongCount } from './binding-failures.ts';
import { isTooDeep, mayHoldInexactNumber, parseWithSources, SourcedNumber, withoutSources } from './json-source.ts';
import { type MemberNaming, type Rename, renameOf } from './member-names.ts';
import { type InboundMessage, type InvocationMessage, messageType } from './messages.ts';
import type { MethodEntry } from './method-table.ts';
import { isOfKind, type ParameterKind } from './parameters.ts';
import { type Binder, type HubProtocol, InvalidRecordError } from './protocol.ts';
import { formOf, isPlain, type ValueForms } from './value-forms.ts';

/** Ends every record. */
export const RECORD_SEPARATOR = 0x1e;
const SEPARATOR = '\u001e';
const NOTHING: readonly never[] = [];
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

/** Dates as the reference writes them, bytes as base64. Exact numbers are what `JSON.stringify` itself knows. */
function formsWith(rename: Rename | undefined): ValueForms {
  return {
    rename,
    date: dateText,
    bytes: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64'),
    raw: undefined,
    scalar: undefined,
  };
}

/** The protocol for hubs whose members are named so. Always the same one for the same naming. */
export function jsonProtocolOf(naming: MemberNaming): HubProtocol {
  return naming === 'as-written' ? jsonProtocol : camelCaseProtocol;
}

function createProtocol(forms: ValueForms): HubProtocol {
  return {
    name: 'json',
    transferFormat: 'Text',
    maximumVersion: 2,
    ping: `{"type":6}${SEPARATOR}`,

    recordEnd(data, start, from = start) {
      return data.indexOf(RECORD_SEPARATOR, from) + 1 || -1;
    },

    parse(data, start, end, binder) {
      const text = data.toString('utf8', start, end - 1);
      const message = parseObject(text);
      if (isTooDeep(message, text.length)) throw new InvalidRecordError('Error reading JSON.');
      // Text frames have been checked by the transport; in a binary frame the bytes may be anything.
      const isBroken = text.includes('\ufffd') && !isUtf8(data.subarray(start, end - 1));
      return read(message, text, isBroken, binder);
    },

    writeInvocation(target, args, invocationId) {
      const id = invocationId === undefined ? '' : `"invocationId":${JSON.stringify(invocationId)},`;
      return `{"type":1,${id}"target":${JSON.stringify(target)},"arguments":${argumentsText(args, forms)}}${SEPARATOR}`;
    },

    writeStreamItem(invocationId, item) {
      return `{"type":2,"invocationId":${JSON.stringify(invocationId)},"item":${valueText(item, forms)}}${SEPARATOR}`;
    },

    writeResult(invocationId, result) {
      return `{"type":3,"invocationId":${JSON.stringify(invocationId)},"result":${valueText(result, forms)}}${SEPARATOR}`;
    },

    writeStreamEnd(invocationId) {
      return `{"type":3,"invocationId":${JSON.stringify(invocationId)}}${SEPARATOR}`;
    },

    writeError(invocationId, error) {
      return `{"type":3,"invocationId":${JSON.stringify(invocationId)},"error":${JSON.stringify(error)}}${SEPARATOR}`;
    },

    writeClose({ error, allowReconnect }) {
      const errorMember = error === undefined ? '' : `,"error":${JSON.stringify(error)}`;
      return `{"type":7${errorMember}${allowReconnect === true ? ',"allowReconnect":true' : ''}}${SEPARATOR}`;
    },

    writeAck(sequenceId) {
      return `{"type":8,"sequenceId":${sequenceId}}${SEPARATOR}`;
    },

    writeSequence(sequenceId) {
      return `{"type":9,"sequenceId":${sequenceId}}${SEPARATOR}`;
    },
  };
}

export const jsonProtocol: HubProtocol = createProtocol(formsWith(undefined));
const camelCaseProtocol: HubProtocol = createProtocol(formsWith(renameOf('camelCase')));

/** ISO 8601 in UTC; zeros at the end of the fraction are left out, and so is a fraction of nothing. */
function dateText(date: Date): string {
  return date.toISOString().replace(/\.?0+Z$/, 'Z');
}

function argumentsText(args: readonly unknown[], forms: ValueForms): string {
  return JSON.stringify(inForm(args, forms));
}

/** undefined, and what JSON leaves out, is null. */
function valueText(value: unknown, forms: ValueForms): string {
  return JSON.stringify(inForm(value, forms)) ?? 'null';
}

/** Nearly all values are plain: they are only looked over, not walked through. */
function inForm(value: unknown, forms: ValueForms): unknown {
  return forms.rename === undefined && isPlain(value) ? value : formOf(value, forms);
}

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

function read(message: WireMessage, text: string, isBroken: boolean, binder: Binder): InboundMessage {
  const { type } = message;
  switch (type) {
    case messageType.invocation:
    case messageType.streamInvocation:
      return readInvocation(type, message, text, isBroken, binder);
    case messageType.ping:
      return { type };
    case messageType.close:
      return { type, error: optionalString(message.error, 'error') };
    case messageType.streamItem: {
      if (message.item === undefined) throw missing('item');
      const invocationId = requiredString(message.invocationId, 'invocationId');
      const kind = binder.itemKind(invocationId);
      if (kind === undefined) return { type, invocationId, item: undefined, bindingFailure: undefined };
      return { type, invocationId, ...bound(kind, message.item, text, isBroken, ['item'], WRONG_ITEM) };
    }
    case messageType.completion:
      return readCompletion(message, text, isBroken, binder);
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
  binder: Binder,
): InvocationMessage {
  const invocationId = optionalString(message.invocationId, 'invocationId') || undefined;
  if (type === messageType.streamInvocation && invocationId === undefined) throw missing('invocationId');
  const target = requiredString(message.target, 'target');
  const given = message.arguments;
  if (!Array.isArray(given)) throw given === undefined ? missing('arguments') : wrongType('arguments', 'Array');
  const streamIds = readStreamIds(message.streamIds);
  const method = binder.method(target);
  if (method === undefined) {
    return { type, invocationId, target, method, args: NOTHING, streamIds, bindingFailure: undefined };
  }
  if (isBroken) return { type, invocationId, target, method, args: given, streamIds, bindingFailure: WRONG_TYPES };
  const bindingFailure = bind(method, given, text);
  return { type, invocationId, target, method, args: given, streamIds, bindingFailure };
}

function readCompletion(
  message: WireMessage,
  text: string,
  isBroken: boolean,
  binder: Binder,
): Extract<InboundMessage, { type: typeof messageType.completion }> {
  const type = messageType.completion;
  const hasResult = message.result !== undefined;
  if (hasResult && message.error !== undefined) {
    throw new InvalidRecordError("The 'error' and 'result' properties are mutually exclusive.");
  }
  const invocationId = requiredString(message.invocationId, 'invocationId');
  const error = optionalString(message.error, 'error');
  const kind = hasResult ? binder.resultKind(invocationId) : undefined;
  if (kind === undefined) return { type, invocationId, error, hasResult, result: undefined, bindingFailure: undefined };
  const { item, bindingFailure } = bound(kind, message.result, text, isBroken, ['result'], WRONG_RESULT);
  return { type, invocationId, error, hasResult, result: item, bindingFailure };
}

/** Makes `args`, which is the message's own array, fit the method; answers what is wrong when it cannot. */
function bind(method: MethodEntry, args: unknown[], text: string): string | undefined {
  const { parameters } = method;
  if (args.length < method.requiredCount || args.length > parameters.length) {
    return wrongCount(args.length, parameters.length);
  }
  for (let index = 0; index < parameters.length; index += 1) {
    const parameter = parameters[index];
    if (parameter === undefined) break;
    const value = args[index];
    if (parameter.fallback !== undefined && (value === undefined || value === null)) {
      args[index] = parameter.fallback.value;
      continue;
    }
    if (!isOfKind(parameter.kind, value)) return WRONG_TYPES;
    if (!needsSource(parameter.kind, text)) continue;
    const exact = exactValue(parameter.kind, text, ['arguments', index]);
    if (exact === undefined) return WRONG_TYPES;
    args[index] = exact.value;
  }
  return undefined;
}

/** One value outside of `arguments`; `failure` says what to call it when it does not fit. */
function bound(
  kind: ParameterKind,
  value: unknown,
  text: string,
  isBroken: boolean,
  path: readonly string[],
  failure: string,
): { readonly item: unknown; readonly bindingFailure: string | undefined } {
  if (isBroken || !isOfKind(kind, value)) return { item: undefined, bindingFailure: failure };
  if (!needsSource(kind, text)) return { item: value, bindingFailure: undefined };
  const exact = exactValue(kind, text, path);
  return { item: exact?.value, bindingFailure: exact === undefined ? failure : undefined };
}

/** Whether the value can only be judged by how its numbers are written. */
function needsSource(kind: ParameterKind, text: string): boolean {
  return (kind === 'int' || kind === 'json') && mayHoldInexactNumber(text);
}

/** The value at `path` with its numbers as they were written; undefined: it is no integer although it must be. */
function exactValue(
  kind: ParameterKind,
  text: string,
  path: readonly (string | number)[],
): { readonly value: unknown } | undefined {
  let original = parseWithSources(text);
  for (const step of path) original = (original as Readonly<Record<string | number, unknown>>)[step];
  if (kind === 'json') return { value: withoutSources(original, true) };
  if (original instanceof SourcedNumber && !PLAIN_INTEGER.test(original.source)) return undefined;
  return { value: withoutSources(original, false) };
}

function readStreamIds(streamIds: unknown): readonly string[] {
  if (streamIds === undefined || streamIds === null) return NOTHING;
  if (!Array.isArray(streamIds)) throw wrongType('streamIds', 'Array');
  return streamIds.map((id) => requiredString(id, 'streamIds'));
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
