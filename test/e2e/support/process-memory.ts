/** Memory of a process, where the system tells (Linux). */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

export const MEMORY_IS_TOLD = existsSync('/proc/self/status');

/** Resident memory in megabytes. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}
