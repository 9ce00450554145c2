/**
 * Broken input against the SignalR server, on every transport and protocol. `FUZZ_INPUTS` sets how many inputs in all (default a
 * million), `FUZZ_SEED` repeats a run.
 */
import { describe, expect, it } from 'vitest';
import { fuzzMemory } from './memory-fuzz.ts';
import { fuzzSockets } from './socket-fuzz.ts';

const total = Number(process.env.FUZZ_INPUTS ?? 1_000_000);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const IN_MEMORY = 0.48;
const TIME_LIMIT_MS = 3_600_000;

describe(`Broken input (FUZZ_SEED=${seed})`, () => {
  it.each(['json', 'messagepack'] as const)(
    'in %s records ends at most its own connection, and leaves nothing behind',
    async (protocol) => {
      const count = Math.floor(total * IN_MEMORY);
      const report = await fuzzMemory(protocol, count, seed);
      expect(report.inputs).toBeGreaterThanOrEqual(count);
      expect(report.surprises).toEqual([]);
      expect(report.leftovers).toEqual({ connections: 0, groups: 0, clientInvocations: 0, timers: 0 });
      // A fuzzer whose every input is refused, or none, tries nothing.
      expect(report.ended).toBeGreaterThan(report.connections / 100);
      expect(report.inputs / report.connections).toBeGreaterThan(2);
      expect(report.answers).toBeGreaterThan(report.inputs / 10);
    },
    TIME_LIMIT_MS,
  );

  it(
    'in requests, frames and bodies disturbs nobody else, and leaves nothing behind',
    async () => {
      const count = Math.floor(total * (1 - 2 * IN_MEMORY));
      const report = await fuzzSockets(count, seed);
      expect(report.inputs).toBeGreaterThanOrEqual(count);
      expect(report.leftovers).toEqual({ connections: 0, groups: 0, streams: 0, clientInvocations: 0 });
    },
    TIME_LIMIT_MS,
  );
});
