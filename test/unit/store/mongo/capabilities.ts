/**
 * What the stand-in servers cannot hold of the contract suites: each case by its name, with the reason. A real MongoDB
 * skips nothing. A name that no case has is a failure, so a skip cannot outlive its case.
 */
import { afterAll, beforeEach, expect } from 'vitest';
import type { MongoServerKind } from '../../../servers/mongo-servers.ts';

const SLOW = 'it answers every query by a scan, and thousands of them do not fit into the time of a test';

/** By server: names of cases and why they are skipped there. */
export const SKIPPED: Readonly<Record<MongoServerKind, Readonly<Record<string, string>>>> = {
  MongoDB: {},
  FerretDB: {
    'many racing sweeps tell each user once': SLOW,
    'agrees with the model: outcomes, statuses, unread as a recount, pending': SLOW,
  },
  'mongo-java-server': {},
};

/** Skips, in the suites of this block, what the server cannot hold. */
export function skipWhatCannotHold(kind: MongoServerKind): void {
  const reasons = new Map(Object.entries(SKIPPED[kind]));
  const met = new Set<string>();
  let ran = 0;
  beforeEach(({ skip, task }) => {
    ran += 1;
    const reason = reasons.get(task.name);
    if (reason === undefined) return;
    met.add(task.name);
    skip(`${kind}: ${reason}`);
  });
  afterAll(() => {
    // A filter of the runner leaves cases out; then nothing can be said.
    if (ran >= 90) expect([...met].toSorted()).toEqual([...reasons.keys()].toSorted());
  });
}
