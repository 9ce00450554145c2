/**
 * Reads hub records by looking for what is needed, in any order of members; full JSON parsing would make the load
 * generator dearer than the server. Texts of the load never contain what is looked for.
 */

/** What a load generator distinguishes. */
export type RecordKind = 'completion' | 'receiveMessage' | 'statusChanged' | 'other';

const TYPE = '"type":';
const CODE_1 = 0x31;
const CODE_3 = 0x33;

/** Calls `handle` for each record of a frame (frames never split records here: servers send whole ones). */
export function eachRecord(frame: string, handle: (record: string) => void): void {
  let start = 0;
  for (let end = frame.indexOf('\u001e'); end >= 0; end = frame.indexOf('\u001e', start)) {
    handle(frame.slice(start, end));
    start = end + 1;
  }
}

export function kindOf(record: string): RecordKind {
  const type = record.charCodeAt(record.indexOf(TYPE) + TYPE.length);
  if (type === CODE_3) return 'completion';
  if (type !== CODE_1) return 'other';
  const target = record.indexOf('"target":"') + 10;
  if (record.startsWith('ReceiveMessage"', target)) return 'receiveMessage';
  return record.startsWith('MessageStatusChanged"', target) ? 'statusChanged' : 'other';
}

/** Value of a string member, undefined if absent. The value must hold no escapes. */
export function stringMember(record: string, name: string): string | undefined {
  const at = record.indexOf(`"${name}":"`);
  if (at < 0) return undefined;
  const start = at + name.length + 4;
  return record.slice(start, record.indexOf('"', start));
}

/** The string arguments of an invocation, whose strings hold no escapes. */
export function stringArguments(record: string): string[] {
  const found: string[] = [];
  let at = record.indexOf('"arguments":[') + 13;
  while (record.charCodeAt(at) === 0x22) {
    const end = record.indexOf('"', at + 1);
    found.push(record.slice(at + 1, end));
    at = end + 2;
  }
  return found;
}
