import type { Bench } from './bench.ts';
import type { LoadSpec } from './http-load.ts';
import { busySince, cpuTimes, processCpuMs } from './machine.ts';
import type { Latency } from './statistics.ts';

export interface Measurement {
  perSecond: number;
  latencyMs: Latency;
  /** Cores that the load generator and the process under load took: of the latter's wait, the rest is the database's. */
  generatorCores?: number;
  targetCores?: number | undefined;
  /** Share of the whole machine that was busy. */
  machineBusy?: number;
}

/** All measurements by name, one for each round. */
export type Measurements = Map<string, Measurement[]>;

/** One thing to measure, for as long as it is told. */
export interface Step {
  name: string;
  run: (measureMs: number) => Promise<{ measurement: Measurement; faults: readonly string[] }>;
}

/** A process that answers HTTP. */
export interface Target {
  url: string;
  pid: number;
}

export type HttpLoad = Pick<LoadSpec, 'connections' | 'requests' | 'once'>;

/** Sockets, prepared statements and the first batches are not what is measured. */
export const WARMUP_MS = 500;

/** @returns the measurement, how often each status was answered, and what was answered wrongly or not at all */
export async function measureHttp({ generator }: Bench, target: Target, load: HttpLoad, measureMs: number) {
  const startedAt = performance.now();
  const machine = cpuTimes();
  const before = await processCpuMs(target.pid);
  const result = await generator.run({ ...load, url: target.url, warmupMs: WARMUP_MS, measureMs });
  const after = await processCpuMs(target.pid);
  const elapsedMs = performance.now() - startedAt;
  const { requestsPerSecond: perSecond, latencyMs, generatorCores, answers, lost } = result;
  const targetCores = before === undefined || after === undefined ? undefined : (after - before) / elapsedMs;
  const measurement = { perSecond, latencyMs, generatorCores, targetCores, machineBusy: busySince(machine) };
  const faults = Object.entries(answers)
    .filter(([status]) => status !== '200' && status !== '201')
    .map(([status, count]) => `${count} answers ${status}`);
  if (lost > 0) faults.push(`${lost} requests without an answer`);
  return { measurement, answers, faults };
}

/** For a peer, of which nothing but right answers is asked. */
export function httpStep(bench: Bench, name: string, target: Target, load: HttpLoad): Step {
  return { name, run: (measureMs) => measureHttp(bench, target, load, measureMs) };
}
