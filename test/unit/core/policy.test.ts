import { describe, expect, test } from 'vitest';
import type { Role } from '../../../src/core/identity.ts';
import { callerId, POLICY, Policy, type UseCase } from '../../../src/core/policy.ts';
import { identityOf } from '../../fixtures/identities.ts';

type Right = 'yes' | 'no' | 'audited';

/** Written out on purpose: a change of the table in the core must be made here as well. */
const TABLE: Record<UseCase, { own: Record<Role, Right>; others: Record<Role, Right> }> = {
  sendMessage: { own: all('yes'), others: service('yes') },
  readMessages: { own: all('yes'), others: readers('audited') },
  readConversations: { own: all('yes'), others: readers('audited') },
  readUnread: { own: all('yes'), others: readers('audited') },
  markStatus: { own: all('yes'), others: service('yes') },
  deleteMessage: { own: all('yes'), others: service('audited') },
  signalTyping: { own: all('yes'), others: service('yes') },
  receiveEvents: { own: all('yes'), others: service('audited') },
  readPresence: { own: all('yes'), others: all('yes') },
  readProfile: { own: all('yes'), others: all('yes') },
  writeProfile: { own: service('yes'), others: service('audited') },
};

function all(right: Right): Record<Role, Right> {
  return { user: right, Admin: right, SuperAdmin: right, Service: right };
}
function readers(right: Right): Record<Role, Right> {
  return { user: 'no', Admin: right, SuperAdmin: right, Service: right };
}
function service(right: Right): Record<Role, Right> {
  return { user: 'no', Admin: 'no', SuperAdmin: 'no', Service: right };
}

const useCases = Object.keys(TABLE) as UseCase[];
const roles: readonly Role[] = ['user', 'Admin', 'SuperAdmin', 'Service'];
const cases = useCases.flatMap((useCase) =>
  roles.flatMap((role) =>
    (['own', 'others'] as const).map((whose) => [role, useCase, whose, TABLE[useCase][whose][role]] as const),
  ),
);

function make(): { policy: Policy; records: unknown[] } {
  const records: unknown[] = [];
  return { policy: new Policy({ record: (entry) => records.push(entry) }), records };
}

describe('the policy', () => {
  test('has a line for every use case', () => {
    expect(useCases.toSorted()).toEqual(Object.keys(POLICY).toSorted());
  });

  test.each(cases)('for %s, %s, in %s affairs: %s', (role, useCase, whose, right) => {
    const { policy, records } = make();
    const identity = { ...identityOf('alice'), roles: new Set([role]) };
    const subject = whose === 'own' ? 'alice' : 'bob';
    if (right === 'no') {
      expect(() => policy.authorize(identity, useCase, subject)).toThrow(
        expect.objectContaining({ code: 'permissionDenied', reason: 'ACCESS_DENIED' }),
      );
    } else {
      expect(policy.authorize(identity, useCase, subject)).toBe(subject);
    }
    expect(records).toEqual(right === 'audited' ? [{ useCase, callerId: 'alice', subjectId: 'bob' }] : []);
  });

  test.each([undefined, '', 'alice'])('takes %j for the own affairs', (subject) => {
    const { policy, records } = make();
    expect(policy.authorize(identityOf('alice', 'Admin'), 'readMessages', subject)).toBe('alice');
    expect(records).toEqual([]);
  });

  test('refuses an identity without any role', () => {
    const identity = { ...identityOf('alice'), roles: new Set<Role>() };
    for (const useCase of useCases) {
      expect(() => make().policy.authorize(identity, useCase)).toThrow(
        expect.objectContaining({ code: 'permissionDenied' }),
      );
    }
  });

  test('refuses an identity without a user, whatever its roles', () => {
    const identity = identityOf(undefined, 'Service', 'SuperAdmin');
    const missing = expect.objectContaining({ code: 'unauthenticated', reason: 'USER_MISSING' });
    for (const useCase of useCases) {
      expect(() => make().policy.authorize(identity, useCase, 'bob')).toThrow(missing);
    }
    expect(() => callerId(identity)).toThrow(missing);
  });

  test('checks a foreign id before anything is done with it, and names the field', () => {
    const { policy, records } = make();
    expect(() => policy.authorize(identityOf('root', 'Service'), 'sendMessage', 'x'.repeat(129), 'sender_id')).toThrow(
      expect.objectContaining({
        code: 'invalidArgument',
        violations: [expect.objectContaining({ field: 'sender_id' })],
      }),
    );
    expect(records).toEqual([]);
  });

  test.each([
    ['user', false],
    ['Admin', true],
    ['SuperAdmin', true],
    ['Service', true],
  ] as const)('lets %s read others and see everybody: %s', (role, expected) => {
    const { policy } = make();
    expect(policy.mayReadOthers(identityOf('alice', role))).toBe(expected);
    expect(policy.seesEverybody(identityOf('alice', role))).toBe(expected);
  });
});
