/**
 * One measured window of a load: the server's CPU, the generator's own CPU, the time and what was counted, taken
 * together in the process that counts.
 */
import { cpuMicroseconds, machineCpuMicroseconds } from '../system/usage.ts';

export interface MeasuredWindow {
  readonly seconds: number;
  /** Operations done within. */
  readonly count: number;
  /** Server CPU in microseconds, all threads. */
  readonly serverCpuUs: number;
  /** Share of one core that the load generator itself used; near 1 it limits the throughput. */
  readonly generatorLoad: number;
  /** Cores that everything else on the machine used (the kernel's network work for both included). */
  readonly othersLoad: number;
}

/** Measures while `work` goes on; `countNow` says how many operations were done so far. */
export async function measureWhile(
  serverPid: number,
  work: () => Promise<void>,
  countNow: () => number,
): Promise<MeasuredWindow> {
  const startedAt = performance.now();
  const own = process.cpuUsage();
  const server = cpuMicroseconds(serverPid);
  const machine = machineCpuMicroseconds();
  const count = countNow();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const serverCpuUs = cpuMicroseconds(serverPid) - server;
  const machineCpuUs = machineCpuMicroseconds() - machine;
  const { user, system } = process.cpuUsage(own);
  const ownCpuUs = user + system;
  return {
    seconds,
    count: countNow() - count,
    serverCpuUs,
    generatorLoad: ownCpuUs / 1e6 / seconds,
    othersLoad: Math.max(0, (machineCpuUs - serverCpuUs - ownCpuUs) / 1e6 / seconds),
  };
}

/** Repeats `cycle`, one after the other, for at least that long. */
export async function repeatFor(ms: number, cycle: () => Promise<void>): Promise<void> {
  const until = performance.now() + ms;
  do await cycle();
  while (performance.now() < until);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until `condition` holds, looking every few milliseconds; throws with `what` when it takes too long. */
export async function until(condition: () => boolean, withinMs: number, what: () => string): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what()} after ${withinMs / 1000} s`);
    await sleep(2);
  }
}
