/** One user behind one door, in the same words for every door, so that tests can put any two of them together. */

export interface HistoryEntry {
  readonly id: string;
  readonly text: string;
  readonly status: 'sent' | 'delivered' | 'read';
  readonly deleted: boolean;
}

export interface ConversationEntry {
  readonly otherUserId: string;
  readonly preview: string;
  readonly unread: number;
  readonly online: boolean;
}

export type Heard =
  | { readonly kind: 'message'; readonly id: string; readonly text: string; readonly from: string }
  | { readonly kind: 'status'; readonly id: string; readonly status: 'delivered' | 'read' }
  | { readonly kind: 'deleted'; readonly id: string }
  | { readonly kind: 'presence'; readonly userId: string; readonly online: boolean };

export interface DoorClient extends AsyncDisposable {
  /** What arrived by itself so far, in order. */
  readonly heard: readonly Heard[];
  /** @returns the message id. */
  send(receiverId: string, text: string, clientMessageId: string): Promise<string>;
  markDelivered(messageId: string): Promise<void>;
  markRead(messageId: string): Promise<void>;
  deleteMessage(messageId: string): Promise<void>;
  /** Oldest first. */
  history(otherUserId: string): Promise<HistoryEntry[]>;
  unread(): Promise<number>;
  conversations(): Promise<ConversationEntry[]>;
  isOnline(userId: string): Promise<boolean>;
}

/** A way into the server. */
export interface Door {
  readonly name: string;
  /** Connects; resolves once events arrive. */
  open(url: string, userId: string, token: string): Promise<DoorClient>;
}
