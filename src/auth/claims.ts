/**
 * From the claims of a verified token to an identity. Issuers disagree about names: every name that is in use is read,
 * in a fixed order, so that one token always gives one identity.
 */
import type { JWTPayload } from 'jose';
import type { Identity, Role } from '../core/identity.ts';

/** Longest user id, in UTF-16 code units; a longer one counts as none. */
export const MAX_USER_ID_LENGTH = 128;
/** Most roles read from one token; more than this is no token of ours. */
const MAX_ROLES = 32;
/** Longest claim that is kept, in UTF-16 code units: identities are cached and travel with connections. */
const MAX_CLAIM_LENGTH = 2048;

/** Claims that may hold the user id; the first that is there counts. */
const USER_ID_CLAIMS = [
  'id',
  'userId',
  'sub',
  'nameid',
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier',
] as const;

/** Claims that may hold roles, each a string or an array of strings; all are read. */
const ROLE_CLAIMS = ['role', 'roles', 'http://schemas.microsoft.com/ws/2008/06/identity/claims/role'] as const;

const PRIVILEGED_ROLES: ReadonlySet<string> = new Set<Role>(['Admin', 'SuperAdmin', 'Service']);

/** The identity that verified claims speak of. `expiresAtMs` as `exp` says, without tolerance. */
export function identityOf(claims: JWTPayload, expiresAtMs: number): Identity {
  const roleTexts = rolesOf(claims);
  const roles = new Set<Role>(['user']);
  for (const role of roleTexts) {
    if (isPrivileged(role)) roles.add(role);
  }
  return {
    userId: userIdOf(claims),
    roles,
    expiresAtMs,
    ...optional('roleClaim', roleTexts[0]),
    ...optional('name', claims.name),
    ...optional('email', claims.email),
    ...optional('picture', claims.picture),
    ...optional('tokenId', claims.jti),
  };
}

function userIdOf(claims: JWTPayload): string | undefined {
  for (const name of USER_ID_CLAIMS) {
    const value = claims[name];
    if (typeof value !== 'string' || value === '') continue;
    // Not the next claim instead: a token must never speak for another id than the one it names first.
    return value.length <= MAX_USER_ID_LENGTH ? value : undefined;
  }
  return undefined;
}

function rolesOf(claims: JWTPayload): string[] {
  const roles: string[] = [];
  for (const name of ROLE_CLAIMS) {
    const value = claims[name];
    for (const role of Array.isArray(value) ? value : [value]) {
      if (typeof role === 'string' && role !== '' && roles.length < MAX_ROLES) roles.push(role);
    }
  }
  return roles;
}

function isPrivileged(role: string): role is Role {
  return PRIVILEGED_ROLES.has(role);
}

function optional<K extends string>(key: K, value: unknown): { [P in K]?: string } {
  if (typeof value !== 'string' || value === '' || value.length > MAX_CLAIM_LENGTH) return {};
  return { [key]: value } as { [P in K]: string };
}
