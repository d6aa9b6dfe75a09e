import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';

import { startChild } from '../support/children.ts';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  platform: string;
  node: string;
  loadGenerator: string;
}

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    platform: `${os.type()} ${os.arch()}`,
    node: process.version,
    loadGenerator: `autocannon ${versionOf('autocannon')}, in a process of its own`,
  };
}

export function versionOf(name: string): string {
  const { version } = createRequire(import.meta.url)(`${name}/package.json`) as { version: string };
  return version;
}

export interface CpuTimes {
  idleMs: number;
  totalMs: number;
}

export function cpuTimes(): CpuTimes {
  let idleMs = 0;
  let totalMs = 0;
  for (const { times } of os.cpus()) {
    idleMs += times.idle;
    totalMs += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { idleMs, totalMs };
}

export function busySince(before: CpuTimes): number {
  const now = cpuTimes();
  const total = now.totalMs - before.totalMs;
  return total === 0 ? 0 : 1 - (now.idleMs - before.idleMs) / total;
}

/** Linux counts in hundredths of a second, whatever the kernel's own clock. */
const TICK_MS = 10;

/** CPU time that a process has used; undefined where the system does not say. */
export async function processCpuMs(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name of the program, in brackets, may hold anything, spaces too; the fields are counted from its end.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Resident memory of a process; undefined when it is gone or the system does not say. */
export async function residentMb(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  const match = /^VmRSS:\s+(\d+) kB/m.exec(status ?? '');
  if (match !== null) return Number(match[1]) / 1024;
  if (process.platform === 'linux' || process.platform === 'win32') return undefined;
  const { stdout } = await startChild('ps', ['-o', 'rss=', '-p', String(pid)], {});
  return stdout.trim() === '' ? undefined : Number(stdout) / 1024;
}
