/**
 * How the members of objects are named when they are written. A hub that is written in the naming of its own code can so speak
 * in the naming of its clients. What clients send is never renamed.
 */

/** `camelCase` names as System.Text.Json's policy of that name does: `UserId` is `userId`, `URLValue` is `urlValue`. */
export type MemberNaming = (typeof memberNamings)[number];

export const memberNamings = ['as-written', 'camelCase'] as const;

/** Gives the name under which a member is written. */
export type Rename = (name: string) => string;

const UPPER = /^\p{Lu}/u;

/** The function for a naming; undefined: names stay. */
export function renameOf(naming: MemberNaming): Rename | undefined {
  return naming === 'camelCase' ? camelCase : undefined;
}

/**
 * The first letter in lower case, and with it a run of capitals, all but the one that begins the next word. A name that does not begin
 * with a capital stays as it is.
 */
export function camelCase(name: string): string {
  if (!isUpper(name, 0)) return name;
  let end = 1;
  while (end < name.length && isUpper(name, end) && (end + 1 === name.length || isUpper(name, end + 1))) end += 1;
  // Before a space there is no next word to keep a capital for.
  if (end < name.length && isUpper(name, end) && name[end + 1] === ' ') end += 1;
  return name.slice(0, end).toLowerCase() + name.slice(end);
}

function isUpper(name: string, index: number): boolean {
  const code = name.charCodeAt(index);
  if (code < 0x80) return code >= 0x41 && code <= 0x5a;
  return UPPER.test(name.charAt(index));
}
