import type { LoadResult } from './http-load.ts';
import { busySince, type CpuTimes, cpuTimes } from './machine.ts';

/*
 * What limited a run of load, told from what was measured while it ran: the cores that the generator, the service and
 * the machine used, and how long orders waited for the transaction before theirs.
 */
export interface Evidence {
  /** Of one core each; undefined where nobody tells. */
  generatorCores: number;
  serviceCores: number | undefined;
  /** Share of all cores of this machine, 0 to 1. */
  machineBusy: number;
  /** How long the first order of a batch waited for its turn, on average. */
  batchWaitMs: number | undefined;
}

/** One thread that works this much has no time left to speak of: the rest goes into waking up. */
const FULL_CORE = 0.85;
const FULL_MACHINE = 0.92;

/** @returns one sentence that names the first bottleneck, and one with the evidence */
export function nameBottleneck(evidence: Evidence): string[] {
  const { generatorCores, serviceCores, machineBusy, batchWaitMs } = evidence;
  return [
    `Bottleneck ${bottleneckOf(evidence)}`,
    `           generator ${cores(generatorCores)}, service ${cores(serviceCores)}, all cores ${Math.round(machineBusy * 100)} % busy` +
      (batchWaitMs === undefined
        ? ''
        : `, a batch of orders waited ${batchWaitMs.toFixed(1)} ms for its turn`),
  ];
}

function bottleneckOf({ generatorCores, serviceCores, machineBusy }: Evidence): string {
  if (generatorCores > FULL_CORE)
    return 'the load generator: it has no core left, so the service could do more';
  if (serviceCores !== undefined && serviceCores > FULL_CORE) {
    return "the service's one thread: a second instance would take the load further";
  }
  if (machineBusy > FULL_MACHINE)
    return 'the cores of this machine, which generator, service and database share';
  if (serviceCores === undefined) return 'not to be named: the service does not show its metrics';
  return 'the database and its disk: no thread here was at its end, so requests waited for commits';
}

function cores(used: number | undefined): string {
  return used === undefined ? 'unknown' : `${used.toFixed(2)} cores`;
}

interface Reading {
  cpuSeconds: number | undefined;
  waitSeconds: number;
  batches: number;
}

/** Watches a service from `start` on, by its own metrics. */
export class BottleneckWatch {
  readonly #readMetrics: () => Promise<string>;
  readonly #before: Reading;
  readonly #machine: CpuTimes = cpuTimes();
  readonly #startedAt = performance.now();

  private constructor(readMetrics: () => Promise<string>, before: Reading) {
    this.#readMetrics = readMetrics;
    this.#before = before;
  }

  static async start(url: string, headers: Record<string, string>): Promise<BottleneckWatch> {
    const readMetrics = async () => {
      const response = await fetch(`${url}/metrics`, { headers });
      return response.ok ? response.text() : '';
    };
    return new BottleneckWatch(readMetrics, readingOf(await readMetrics()));
  }

  async end({ generatorCores }: LoadResult): Promise<Evidence> {
    const elapsedSeconds = (performance.now() - this.#startedAt) / 1000;
    const machineBusy = busySince(this.#machine);
    const after = readingOf(await this.#readMetrics().catch(() => ''));
    const before = this.#before;
    const batches = after.batches - before.batches;
    return {
      generatorCores,
      serviceCores:
        after.cpuSeconds === undefined || before.cpuSeconds === undefined
          ? undefined
          : (after.cpuSeconds - before.cpuSeconds) / elapsedSeconds,
      machineBusy,
      batchWaitMs: batches > 0 ? (1000 * (after.waitSeconds - before.waitSeconds)) / batches : undefined,
    };
  }
}

function readingOf(metrics: string): Reading {
  const valueOf = (series: string) => {
    const line = metrics.split('\n').find((text) => text.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  };
  return {
    cpuSeconds: valueOf('process_cpu_seconds_total'),
    waitSeconds: valueOf('batch_wait_seconds_sum{batch="orders"}') ?? 0,
    batches: valueOf('batch_wait_seconds_count{batch="orders"}') ?? 0,
  };
}
