import type { LoadGenerator } from './load-generator.ts';
import type { Latency, LoadRequest } from './http-load.ts';
import { busySince, cpuTimes, processCpuMs } from './machine.ts';
import type { Target } from './peers.ts';

export interface Measurement {
  perSecond: number;
  latencyMs: Latency;
  /** Cores that the load generator and the process under load took: of the latter's wait, the rest is the database's. */
  generatorCores?: number;
  targetCores?: number | undefined;
  /** Share of the whole machine that was busy. */
  machineBusy?: number;
}

export interface HttpRun {
  target: Target;
  requests: LoadRequest[];
  connections: number;
  measureMs: number;
}

export interface HttpOutcome {
  measurement: Measurement;
  answers: Record<string, number>;
  lost: number;
}

/** Sockets, prepared statements and the first batches are not what is measured. */
const WARMUP_MS = 500;

export async function measureHttp(generator: LoadGenerator, run: HttpRun): Promise<HttpOutcome> {
  const { target, requests, connections, measureMs } = run;
  const startedAt = performance.now();
  const machine = cpuTimes();
  const before = await processCpuMs(target.pid);
  const spec = { url: target.url, connections, warmupMs: WARMUP_MS, measureMs, requests };
  const result = await generator.run(spec);
  const after = await processCpuMs(target.pid);
  const elapsedMs = performance.now() - startedAt;
  return {
    measurement: {
      perSecond: result.requestsPerSecond,
      latencyMs: result.latencyMs,
      generatorCores: result.generatorCores,
      targetCores: before === undefined || after === undefined ? undefined : (after - before) / elapsedMs,
      machineBusy: busySince(machine),
    },
    answers: result.answers,
    lost: result.lost,
  };
}

export function orderRequest(productId: number): LoadRequest {
  return {
    method: 'POST',
    path: '/orders',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ product_id: productId, quantity: 1 }),
  };
}

export function readRequest(path: string): LoadRequest {
  return { method: 'GET', path };
}

/** Answers other than 200 and 201, and requests that got none. */
export function faultsOf(outcome: HttpOutcome): string[] {
  const faults = Object.entries(outcome.answers)
    .filter(([status]) => status !== '200' && status !== '201')
    .map(([status, count]) => `${count} answers ${status}`);
  if (outcome.lost > 0) faults.push(`${outcome.lost} requests without an answer`);
  return faults;
}
