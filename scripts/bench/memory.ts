import { residentMb } from './machine.ts';
import { median } from './statistics.ts';

export interface MemorySummary {
  maxMb: number;
  lastMb: number;
  /** Median of the last quarter of the samples over that of the second: about 1 when nothing leaks. */
  growth: number;
}

const SAMPLE_MS = 250;

/** Watches the resident memory of a process until `stop`. */
export class MemoryWatch {
  readonly #samples: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      residentMb(pid).then(
        (megabytes) => megabytes !== undefined && this.#samples.push(megabytes),
        () => undefined,
      );
    }, SAMPLE_MS);
  }

  /** Undefined where the system does not tell. */
  stop(): MemorySummary | undefined {
    clearInterval(this.#timer);
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last === undefined) return undefined;
    const quarter = Math.ceil(samples.length / 4);
    const early = median(samples.slice(quarter, 2 * quarter));
    const growth = early === 0 ? 1 : median(samples.slice(-quarter)) / early;
    return { maxMb: Math.max(...samples), lastMb: last, growth };
  }
}
