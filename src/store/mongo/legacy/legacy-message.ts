/** A document of `ChatMessages`, the messages of the system that ran before, as this one understands it. Pure. */
import type { Document } from 'mongodb';
import { checkId } from '../../../core/ids.ts';

export interface LegacyMessage {
  readonly id: string;
  readonly senderId: string;
  readonly receiverId: string;
  /** Empty for a deleted message. */
  readonly text: string;
  readonly sentAtMs: number;
  /** Present if it was delivered, or read, which implies it. */
  readonly deliveredAtMs?: number;
  readonly readAtMs?: number;
  readonly deletedAtMs?: number;
}

/** Why a document cannot be taken over. */
export type SkipReason =
  | 'it has no usable sender'
  | 'it has no usable receiver'
  | 'sender and receiver are one'
  | 'it has no time'
  | 'it has no text'
  | 'its id is used by another message';

/** The message, or why the document holds none. */
export function readLegacyMessage(document: Document): LegacyMessage | SkipReason {
  const { DeletedAt, DeliveredAt, IsDeleted, IsDelivered, IsRead, Message, ReadAt, ReceiverId, SenderId, Timestamp } =
    document;
  const senderId = idOf(SenderId);
  if (senderId === undefined) return 'it has no usable sender';
  const receiverId = idOf(ReceiverId);
  if (receiverId === undefined) return 'it has no usable receiver';
  if (senderId === receiverId) return 'sender and receiver are one';
  const sentAtMs = timeOf(Timestamp);
  if (sentAtMs === undefined) return 'it has no time';
  const isDeleted = IsDeleted === true;
  if (!isDeleted && (typeof Message !== 'string' || Message === '')) return 'it has no text';
  const status = typeof document.Status === 'string' ? document.Status.toLowerCase() : '';
  const isRead = IsRead === true || status === 'read';
  const isDelivered = isRead || IsDelivered === true || status === 'delivered';
  const readAtMs = timeOf(ReadAt) ?? timeOf(DeliveredAt) ?? sentAtMs;
  return {
    id: String(document._id),
    senderId,
    receiverId,
    text: isDeleted ? '' : Message,
    sentAtMs,
    ...(isDelivered && { deliveredAtMs: timeOf(DeliveredAt) ?? (isRead ? readAtMs : sentAtMs) }),
    ...(isRead && { readAtMs }),
    ...(isDeleted && { deletedAtMs: timeOf(DeletedAt) ?? sentAtMs }),
  };
}

/** An id as text, whether it was kept as text or as an ObjectId. */
function idOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  try {
    return checkId(String(value), 'id');
  } catch {
    return undefined;
  }
}

function timeOf(value: unknown): number | undefined {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) return undefined;
  return value.getTime();
}
