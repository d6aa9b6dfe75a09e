import { setTimeout as sleep } from 'node:timers/promises';

import type pg from 'pg';

import type { Bench } from './bench.ts';
import { busySince, cpuTimes } from './machine.ts';
import type { Measurements, Step } from './measure.ts';

/*
 * Steps that are measured in turn: what is compared stands side by side in their list, and every second round takes the
 * list backwards, because a machine's speed drifts by more than what is looked for.
 */
const BETWEEN_MS = 150;
/** How long a step waits for PostgreSQL to clean up after those before it. */
const CLEAN_UP_MS = 15_000;
/** What answers over HTTP is compiled while it runs, and is slow until then. */
const WARM_UP_MS = 2500;

export class Rounds {
  readonly measurements: Measurements = new Map();
  readonly faults: string[] = [];
  /** How busy the machine was before each step, while nothing of ours was at work: the share of others. */
  readonly busyBetween: number[] = [];
  readonly #steps: readonly Step[];
  readonly #measureMs: number;
  readonly #say: Bench['say'];
  readonly #client: pg.Client;

  /** @param client on any database of the PostgreSQL that is measured */
  constructor(bench: Bench, options: { steps: readonly Step[]; measureMs: number; client: pg.Client }) {
    this.#say = bench.say;
    this.#steps = options.steps;
    this.#measureMs = options.measureMs;
    this.#client = options.client;
  }

  /** Once before the rounds: compilers and caches get warm, and the figures are dropped. */
  async warmUp(needsIt: (step: Step) => boolean = () => true): Promise<void> {
    for (const step of this.#steps.filter(needsIt)) {
      this.#say(`warm-up   ${step.name}`);
      const { faults } = await step.run(Math.max(this.#measureMs, WARM_UP_MS));
      this.#blame(step, faults);
    }
  }

  async run(rounds: number): Promise<void> {
    for (let round = 1; round <= rounds; round += 1) {
      for (const step of round % 2 === 0 ? this.#steps.toReversed() : this.#steps)
        await this.#measure(step, round);
    }
  }

  async #measure(step: Step, round: number): Promise<void> {
    await this.#awaitCleanUp();
    const before = cpuTimes();
    await sleep(BETWEEN_MS);
    this.busyBetween.push(busySince(before));
    const { measurement, faults } = await step.run(this.#measureMs);
    this.measurements.set(step.name, [...(this.measurements.get(step.name) ?? []), measurement]);
    const { perSecond, latencyMs } = measurement;
    const rate = Math.round(perSecond).toLocaleString('en-US').padStart(9);
    this.#say(`round ${round}   ${step.name.padEnd(24)} ${rate}/s   p50 ${latencyMs.p50.toFixed(2)} ms`);
    this.#blame(step, faults);
  }

  /** Autovacuum takes half a core for seconds, which the measurement of that moment would lack. */
  async #awaitCleanUp(): Promise<void> {
    const vacuums = "select 1 from pg_stat_activity where backend_type = 'autovacuum worker'";
    const giveUpAt = performance.now() + CLEAN_UP_MS;
    while ((await this.#client.query(vacuums)).rowCount !== 0) {
      if (performance.now() > giveUpAt) return this.#say('autovacuum is still at work');
      await sleep(BETWEEN_MS);
    }
  }

  #blame({ name }: Step, faults: readonly string[]): void {
    for (const fault of faults) {
      this.faults.push(`${name}: ${fault}`);
      this.#say(`FAULT     ${name}: ${fault}`);
    }
  }
}
