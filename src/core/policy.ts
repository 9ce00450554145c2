/**
 * Who may do what: the one table. Doors have no rule of their own; they pass the identity of the token and the user that
 * the call is about.
 */
import { ChatError } from './errors.ts';
import type { Identity, Role } from './identity.ts';
import { checkId } from './ids.ts';

export type UseCase =
  | 'sendMessage'
  | 'readMessages'
  | 'readConversations'
  | 'readUnread'
  | 'markStatus'
  | 'deleteMessage'
  | 'signalTyping'
  | 'receiveEvents'
  | 'readPresence'
  | 'readProfile'
  | 'writeProfile';

interface Rule {
  /** Roles that may do it for themselves. */
  readonly own: readonly Role[];
  /** Roles that may do it in another user's affairs. */
  readonly others: readonly Role[];
  /** Whether doing it in another user's affairs is written to the audit log. */
  readonly audited: boolean;
}

const EVERYBODY: readonly Role[] = ['user', 'Admin', 'SuperAdmin', 'Service'];
const READERS: readonly Role[] = ['Admin', 'SuperAdmin', 'Service'];
const SERVICE: readonly Role[] = ['Service'];

/** The policy: use case × role. */
export const POLICY: Readonly<Record<UseCase, Rule>> = {
  sendMessage: { own: EVERYBODY, others: SERVICE, audited: false },
  readMessages: { own: EVERYBODY, others: READERS, audited: true },
  readConversations: { own: EVERYBODY, others: READERS, audited: true },
  readUnread: { own: EVERYBODY, others: READERS, audited: true },
  markStatus: { own: EVERYBODY, others: SERVICE, audited: false },
  deleteMessage: { own: EVERYBODY, others: SERVICE, audited: true },
  signalTyping: { own: EVERYBODY, others: SERVICE, audited: false },
  receiveEvents: { own: EVERYBODY, others: SERVICE, audited: true },
  readPresence: { own: EVERYBODY, others: EVERYBODY, audited: false },
  readProfile: { own: EVERYBODY, others: EVERYBODY, audited: false },
  writeProfile: { own: SERVICE, others: SERVICE, audited: true },
};

/** Told of every audited act in another user's affairs. */
export interface AuditLog {
  record(entry: { readonly useCase: UseCase; readonly callerId: string; readonly subjectId: string }): void;
}

/** The user id of an identity. @throws ChatError `unauthenticated` if the token carries none. */
export function callerId(identity: Identity): string {
  if (identity.userId === undefined) throw new ChatError('unauthenticated', 'USER_MISSING', 'Authentication required');
  return identity.userId;
}

function hasRole(identity: Identity, allowed: readonly Role[]): boolean {
  return allowed.some((role) => identity.roles.has(role));
}

export class Policy {
  readonly #audit: AuditLog;

  constructor(audit: AuditLog) {
    this.#audit = audit;
  }

  /**
   * Decides whether `identity` may do `useCase` in the affairs of `subjectId` (undefined or empty: its own).
   * @param field name of the request's field that holds the subject, for the error.
   * @returns the id of the user that the call is about.
   * @throws ChatError `unauthenticated`, `permissionDenied` or `invalidArgument`.
   */
  authorize(identity: Identity, useCase: UseCase, subjectId?: string, field = 'user_id'): string {
    const caller = callerId(identity);
    const rule = POLICY[useCase];
    const subject = subjectId === undefined || subjectId === '' ? caller : checkId(subjectId, field);
    const allowed = subject === caller ? rule.own : rule.others;
    if (!hasRole(identity, allowed)) throw new ChatError('permissionDenied', 'ACCESS_DENIED', 'Access denied');
    if (subject !== caller && rule.audited) this.#audit.record({ useCase, callerId: caller, subjectId: subject });
    return subject;
  }

  /** Whether `identity` may read the affairs of users other than itself. */
  mayReadOthers(identity: Identity): boolean {
    return hasRole(identity, POLICY.readMessages.others);
  }

  /** Whether `identity` sees everybody's presence, whatever the audience setting says. */
  seesEverybody(identity: Identity): boolean {
    return hasRole(identity, READERS);
  }
}
