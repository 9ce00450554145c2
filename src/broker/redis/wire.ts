/**
 * What travels through Redis, as text. Others may write there too: whatever comes is checked, and what is not ours is
 * `undefined`, never an exception.
 *
 * Channel messages: `E<epoch> <offset of the first>\n<event>\n<event>…`, `T<event>`, `B<{event, audience}>`, `N` (a new
 * epoch has begun). Events are JSON, which has no line breaks.
 */
import type { ChatEvent, StreamEvent, StreamPosition, TransientEvent } from '../../core/events.ts';
import type { StreamEntry } from '../../core/ports.ts';

export type ChannelMessage =
  | { readonly type: 'entries'; readonly entries: readonly StreamEntry[] }
  | { readonly type: 'transient'; readonly event: TransientEvent }
  | { readonly type: 'broadcast'; readonly event: TransientEvent; readonly audience: readonly string[] | undefined }
  | { readonly type: 'newEpoch' };

type Shape = Readonly<Record<string, 'string' | 'number' | 'boolean' | 'object'>>;

const MESSAGE: Shape = {
  id: 'string',
  seq: 'number',
  senderId: 'string',
  receiverId: 'string',
  text: 'string',
  sentAtMs: 'number',
};

const STREAM_EVENTS: Readonly<Record<StreamEvent['type'], Shape>> = {
  messageSent: { message: 'object' },
  messageRedacted: { message: 'object', warning: 'string' },
  statusAdvanced: {
    status: 'string',
    readerId: 'string',
    senderId: 'string',
    upToSeq: 'number',
    messageIds: 'object',
    atMs: 'number',
  },
  conversationRead: { readerId: 'string', senderId: 'string', upToSeq: 'number', atMs: 'number' },
  messageDeleted: {
    messageId: 'string',
    seq: 'number',
    senderId: 'string',
    receiverId: 'string',
    byUserId: 'string',
    atMs: 'number',
  },
};

const TRANSIENT_EVENTS: Readonly<Record<TransientEvent['type'], Shape>> = {
  presenceChanged: { changes: 'object' },
  typing: { fromUserId: 'string', toUserId: 'string', active: 'boolean' },
};

export function encodeEvent(event: ChatEvent): string {
  return JSON.stringify(event);
}

export function encodeTransient(event: TransientEvent): string {
  return `T${JSON.stringify(event)}`;
}

export function encodeBroadcast(event: TransientEvent, audience: readonly string[] | undefined): string {
  return `B${JSON.stringify({ event, audience })}`;
}

export function decodeChannelMessage(payload: string): ChannelMessage | undefined {
  switch (payload[0]) {
    case 'E':
      return decodeEntries(payload);
    case 'T': {
      const event = transientOf(parse(payload.slice(1)));
      return event && { type: 'transient', event };
    }
    case 'B':
      return decodeBroadcast(parse(payload.slice(1)));
    case 'N':
      return { type: 'newEpoch' };
    default:
      return undefined;
  }
}

export function decodeStreamEvent(text: unknown): StreamEvent | undefined {
  const value = typeof text === 'string' ? parse(text) : undefined;
  if (!isRecord(value) || !fits(value, STREAM_EVENTS)) return undefined;
  if ('message' in value && !(isRecord(value.message) && has(value.message, MESSAGE))) return undefined;
  if ('messageIds' in value && !areStrings(value.messageIds)) return undefined;
  return value as unknown as StreamEvent;
}

/** Place of a stream as its key holds it; undefined if the key is missing or holds something else. */
export function decodePlace(text: unknown): StreamPosition | undefined {
  const [epoch, digits, ...rest] = typeof text === 'string' ? text.split(' ') : [];
  const offset = Number(digits);
  return epoch && rest.length === 2 && Number.isSafeInteger(offset) ? { epoch, offset } : undefined;
}

function decodeEntries(payload: string): ChannelMessage | undefined {
  const [head = '', ...texts] = payload.split('\n');
  const space = head.indexOf(' ');
  const epoch = head.slice(1, space);
  const first = Number(head.slice(space + 1));
  if (space < 2 || !Number.isSafeInteger(first) || first < 1 || texts.length === 0) return undefined;
  const entries: StreamEntry[] = [];
  for (const [index, text] of texts.entries()) {
    const event = decodeStreamEvent(text);
    if (event === undefined) return undefined;
    entries.push({ position: { epoch, offset: first + index }, event });
  }
  return { type: 'entries', entries };
}

function decodeBroadcast(value: unknown): ChannelMessage | undefined {
  if (!isRecord(value)) return undefined;
  const event = transientOf(value.event);
  if (event === undefined || !(value.audience === undefined || areStrings(value.audience))) return undefined;
  return { type: 'broadcast', event, audience: value.audience };
}

function transientOf(value: unknown): TransientEvent | undefined {
  if (!isRecord(value) || !fits(value, TRANSIENT_EVENTS)) return undefined;
  if ('changes' in value) {
    const { changes } = value;
    const whole =
      Array.isArray(changes) && changes.every((change) => isRecord(change) && has(change, { userId: 'string' }));
    if (!whole) return undefined;
  }
  return value as unknown as TransientEvent;
}

function fits(value: Record<string, unknown>, shapes: Readonly<Record<string, Shape>>): boolean {
  const { type } = value;
  if (typeof type !== 'string' || !Object.hasOwn(shapes, type)) return false;
  const shape = shapes[type];
  return shape !== undefined && has(value, shape);
}

function has(value: Record<string, unknown>, shape: Shape): boolean {
  for (const key in shape) if (typeof value[key] !== shape[key]) return false;
  return true;
}

function areStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
