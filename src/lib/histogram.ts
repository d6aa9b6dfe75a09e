import type { Metric, Registry } from 'prom-client';

/*
 * A Prometheus histogram whose callers look each series up once, so that an observation is an addition. prom-client's
 * own histogram looks the labels up on each observation, which costs a microsecond and some garbage on every request.
 */

/** The counts of one set of labels. */
export class HistogramSeries {
  readonly #bounds: readonly number[];
  /** The number of values between each bound and the one before it; the last one counts values above all bounds. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let bucket = 0;
    // Most values are small, so the first bounds decide.
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sum += value;
  }
}

export interface HistogramOptions {
  name: string;
  help: string;
  /** Upper bounds, ascending. */
  buckets: readonly number[];
  registers: readonly Registry[];
}

type Labels = Record<string, string | number>;

export class Histogram {
  readonly name: string;
  readonly #help: string;
  readonly #buckets: readonly number[];
  readonly #series: { labels: Labels; series: HistogramSeries }[] = [];

  constructor({ name, help, buckets, registers }: HistogramOptions) {
    this.name = name;
    this.#help = help;
    this.#buckets = buckets;
    // A registry needs only a metric's name and get(), which its own classes have in common.
    for (const registry of registers) registry.registerMetric(this as unknown as Metric);
  }

  /** Adds a series. The caller keeps it, and asks once for each set of labels. */
  addSeries(labels: Labels): HistogramSeries {
    const series = new HistogramSeries(this.#buckets);
    this.#series.push({ labels, series });
    return series;
  }

  /** The registry's view: cumulative buckets, sum and count of each series. */
  async get() {
    const values = this.#series.flatMap(({ labels, series }) => {
      let count = 0;
      const buckets = [...series.counts].map((size, index) => {
        count += size;
        const le = this.#buckets[index] ?? '+Inf';
        return { metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${this.name}_sum`, labels, value: series.sum },
        { metricName: `${this.name}_count`, labels, value: count },
      ];
    });
    return { name: this.name, help: this.#help, type: 'histogram', values, aggregator: 'sum' };
  }
}
