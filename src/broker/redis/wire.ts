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

/** Twice as many are kept at most. */
const MAX_NOTED = 1000;
const MAX_NOTED_CHARACTERS = 2000;

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

export function decodeChannelMessage(payload: string, events?: RecentEvents): ChannelMessage | undefined {
  switch (payload[0]) {
    case 'E':
      return decodeEntries(payload, events);
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

/**
 * The events of the texts that were written or read last. What an instance appends it mostly hears itself, and an event is in the
 * streams of two people: so it is decoded once, or not at all.
 */
export class RecentEvents {
  #young = new Map<string, StreamEvent>();
  #old = new Map<string, StreamEvent>();

  note(text: string, event: StreamEvent): void {
    if (text.length > MAX_NOTED_CHARACTERS) return;
    if (this.#young.size >= MAX_NOTED) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, event);
  }

  /** @param isPart `text` was cut out of a longer one, which would be kept with it: it is not noted then. */
  decode(text: string, isPart: boolean): StreamEvent | undefined {
    const known = this.#young.get(text) ?? this.#old.get(text);
    if (known !== undefined) return known;
    const event = decodeStreamEvent(text);
    if (event !== undefined && !isPart) this.note(text, event);
    return event;
  }
}

/** Place of a stream as its key holds it; undefined if the key is missing or holds something else. */
export function decodePlace(text: unknown): StreamPosition | undefined {
  const [epoch, digits, ...rest] = typeof text === 'string' ? text.split(' ') : [];
  const offset = Number(digits);
  return epoch && rest.length === 2 && Number.isSafeInteger(offset) ? { epoch, offset } : undefined;
}

function decodeEntries(payload: string, events: RecentEvents | undefined): ChannelMessage | undefined {
  const headEnd = payload.indexOf('\n');
  const space = payload.indexOf(' ');
  const epoch = payload.slice(1, space);
  const first = Number(payload.slice(space + 1, headEnd));
  if (space < 2 || space > headEnd || !Number.isSafeInteger(first) || first < 1) return undefined;
  const entries: StreamEntry[] = [];
  for (let from = headEnd + 1, offset = first; from > 0; offset += 1) {
    const end = payload.indexOf('\n', from);
    const text = end === -1 ? payload.slice(from) : payload.slice(from, end);
    const isPart = end !== -1 || offset > first;
    const event = events === undefined ? decodeStreamEvent(text) : events.decode(text, isPart);
    if (event === undefined) return undefined;
    entries.push({ position: { epoch, offset }, event });
    from = end + 1;
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
    const { changes, repeatLastMs } = value;
    if (repeatLastMs !== undefined && typeof repeatLastMs !== 'number') return undefined;
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
