/** The simplest thing that behaves like a MessageStore: arrays and sums. The contract suite compares adapters with it. */
import type { CursorKind, Cursors, Message, MessageView } from '../../src/core/message.ts';
import type { AdvanceOp, AppendOp, BindOp, DeleteOp, WriteOp, WriteOutcome } from '../../src/core/ports.ts';

interface Move {
  readonly personId: string;
  readonly kind: CursorKind;
  readonly toSeq: number;
  readonly atMs: number;
}

interface ModelConversation {
  readonly messages: Message[];
  readonly cursors: Map<string, Cursors>;
  readonly moves: Move[];
}

const NOTHING: Cursors = { received: 0, delivered: 0, read: 0 };

export class MessageStoreModel {
  readonly #conversations = new Map<string, ModelConversation>();
  readonly #clientIds = new Map<string, { readonly message: Message; readonly digest: string }>();

  write(operation: WriteOp): WriteOutcome {
    switch (operation.type) {
      case 'append':
        return this.#append(operation);
      case 'advance':
        return this.#advance(operation);
      case 'delete':
        return this.#delete(operation);
      case 'bind':
        return this.#bind(operation);
    }
  }

  messages(a: string, b: string): Message[] {
    return this.#conversation(a, b)?.messages ?? [];
  }

  views(a: string, b: string): MessageView[] {
    const conversation = this.#conversation(a, b);
    return (conversation?.messages ?? []).map((message) => {
      const { delivered, read } = conversation?.cursors.get(message.receiverId) ?? NOTHING;
      const firstMove = (kind: CursorKind): number | undefined =>
        conversation?.moves.find((m) => m.personId === message.receiverId && m.kind === kind && m.toSeq >= message.seq)
          ?.atMs;
      const deliveredAtMs = firstMove('delivered');
      const readAtMs = firstMove('read');
      return {
        ...message,
        status: message.seq <= read ? 'read' : message.seq <= delivered ? 'delivered' : 'sent',
        ...(deliveredAtMs !== undefined && { deliveredAtMs }),
        ...(readAtMs !== undefined && { readAtMs }),
      };
    });
  }

  cursors(personId: string, otherId: string): Cursors {
    return this.#conversation(personId, otherId)?.cursors.get(personId) ?? NOTHING;
  }

  unread(personId: string, otherId: string): number {
    return this.pending(personId, otherId, 'read').length;
  }

  pending(personId: string, otherId: string, above: CursorKind, orSinceMs = Number.POSITIVE_INFINITY): Message[] {
    const from = this.cursors(personId, otherId)[above];
    return this.messages(personId, otherId).filter(
      (m) => (m.seq > from || m.sentAtMs >= orSinceMs) && m.senderId === otherId && m.deletedAtMs === undefined,
    );
  }

  #conversation(a: string, b: string): ModelConversation | undefined {
    return this.#conversations.get([a, b].toSorted().join('\n'));
  }

  #find(id: string): { conversation: ModelConversation; message: Message } | undefined {
    for (const conversation of this.#conversations.values()) {
      const message = conversation.messages.find((candidate) => candidate.id === id);
      if (message !== undefined) return { conversation, message };
    }
    return undefined;
  }

  #append(op: AppendOp): WriteOutcome {
    const used = op.clientMessageId && this.#clientIds.get(`${op.senderId}\n${op.clientMessageId}`);
    if (used) {
      if (used.digest !== op.digest) return { type: 'conflict' };
      return { type: 'appended', message: this.#find(used.message.id)?.message ?? used.message, duplicate: true };
    }
    const key = [op.senderId, op.receiverId].toSorted().join('\n');
    const conversation: ModelConversation = this.#conversations.get(key) ?? {
      messages: [],
      cursors: new Map(),
      moves: [],
    };
    this.#conversations.set(key, conversation);
    const { id, senderId, receiverId, text } = op;
    const sentAtMs = Math.max(op.atMs, conversation.messages.at(-1)?.sentAtMs ?? 0);
    const message = { id, seq: conversation.messages.length + 1, senderId, receiverId, text, sentAtMs };
    conversation.messages.push(message);
    if (op.clientMessageId) {
      this.#clientIds.set(`${senderId}\n${op.clientMessageId}`, { message, digest: op.digest ?? '' });
    }
    return { type: 'appended', message, duplicate: false };
  }

  #advance(op: AdvanceOp): WriteOutcome {
    const conversation = this.#conversation(op.personId, op.otherId);
    if (conversation === undefined) return { type: 'missing' };
    const previous = conversation.cursors.get(op.personId) ?? NOTHING;
    const target = Math.min(op.toSeq, conversation.messages.length);
    const living = (above: number, upTo: number): Message[] =>
      conversation.messages.filter(
        (m) => m.seq > above && m.seq <= upTo && m.senderId === op.otherId && m.deletedAtMs === undefined,
      );
    const hole = op.withoutHoleBelow !== undefined && living(previous[op.kind], op.withoutHoleBelow - 1).length > 0;
    if (hole || target <= previous[op.kind]) {
      return { type: 'advanced', previous, current: previous, passed: [], more: false };
    }
    const current = {
      received: Math.max(previous.received, target),
      delivered: op.kind === 'received' ? previous.delivered : Math.max(previous.delivered, target),
      read: op.kind === 'read' ? target : previous.read,
    };
    conversation.cursors.set(op.personId, current);
    for (const kind of ['received', 'delivered', 'read'] as const) {
      if (current[kind] > previous[kind]) {
        conversation.moves.push({ personId: op.personId, kind, toSeq: target, atMs: op.atMs });
      }
    }
    const passed = op.kind === 'received' ? [] : living(previous[op.kind], target);
    return { type: 'advanced', previous, current, passed: passed.map(({ id, seq }) => ({ id, seq })), more: false };
  }

  #delete(op: DeleteOp): WriteOutcome {
    const found = this.#find(op.messageId);
    if (found === undefined) return { type: 'missing' };
    const { conversation, message } = found;
    if (message.deletedAtMs !== undefined) return { type: 'deleted', message, alreadyDeleted: true };
    conversation.messages[message.seq - 1] = { ...message, text: '', deletedAtMs: op.atMs };
    return { type: 'deleted', message, alreadyDeleted: false };
  }

  #bind(op: BindOp): WriteOutcome {
    const message = this.#find(op.messageId)?.message;
    if (message === undefined || message.senderId !== op.senderId) return { type: 'missing' };
    const key = `${op.senderId}\n${op.clientMessageId}`;
    const used = this.#clientIds.get(key);
    if (used !== undefined) {
      return used.digest === op.digest && used.message.id === op.messageId ? { type: 'bound' } : { type: 'conflict' };
    }
    this.#clientIds.set(key, { message, digest: op.digest });
    return { type: 'bound' };
  }
}
