/**
 * What a process has used: CPU time (user and system, all threads, also ended ones) and resident memory, read from
 * /proc. Other systems have no /proc; there everything that needs it is skipped with a word.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Whether usage of other processes can be read here. */
export const usageIsReadable: boolean = existsSync('/proc/self/stat');

export const NO_USAGE = 'CPU and memory of a server are read from /proc, which this system does not have';

let ticksPerSecond: number | undefined;

/** CPU time of a process in microseconds; resolution is one clock tick, 10 ms as a rule. */
export function cpuMicroseconds(pid: number): number {
  ticksPerSecond ??= readTicksPerSecond();
  return (parseCpuTicks(readFileSync(`/proc/${pid}/stat`, 'latin1')) / ticksPerSecond) * 1e6;
}

/** CPU time that the whole machine has spent on anything, in microseconds, time stolen by the host included. */
export function machineCpuMicroseconds(): number {
  ticksPerSecond ??= readTicksPerSecond();
  return (parseMachineTicks(readFileSync('/proc/stat', 'latin1')) / ticksPerSecond) * 1e6;
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  return parseResidentBytes(readFileSync(`/proc/${pid}/status`, 'latin1'));
}

/** utime + stime of a /proc/<pid>/stat line. The second field is the name in brackets, which may hold anything. */
export function parseCpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) throw new Error('unexpected form of /proc/<pid>/stat');
  return ticks;
}

/** Everything but idle and waiting for disks of the first line of /proc/stat. */
export function parseMachineTicks(stat: string): number {
  const [user, nice, system, , , irq, softirq, steal] = stat.slice(3, stat.indexOf('\n')).trim().split(' ').map(Number);
  const ticks = [user, nice, system, irq, softirq, steal].reduce<number>((sum, part) => sum + (part ?? Number.NaN), 0);
  if (!Number.isFinite(ticks)) throw new Error('unexpected form of /proc/stat');
  return ticks;
}

/** VmRSS of a /proc/<pid>/status file. */
export function parseResidentBytes(status: string): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  if (match === null) throw new Error('no VmRSS in /proc/<pid>/status: has the process ended?');
  return Number(match[1]) * 1024;
}

function readTicksPerSecond(): number {
  try {
    return Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'latin1' })) || 100;
  } catch {
    return 100; // what every Linux of today has
  }
}
