import { setTimeout as sleep } from 'node:timers/promises';

import type pg from 'pg';

import type { LoadGenerator } from './load-generator.ts';
import {
  faultsOf,
  type HttpRun,
  type Measurement,
  measureHttp,
  orderRequest,
  readRequest,
} from './measure.ts';
import { busySince, cpuTimes } from './machine.ts';
import type { Target } from './peers.ts';
import type { Pgbench } from './pgbench.ts';
import { checkStock } from './service.ts';

/*
 * What is measured, side by side: each peer right beside the work that it is compared with, and every second round in
 * the opposite order, because a machine's speed drifts by more than what is looked for.
 */

export interface Parties {
  generator: LoadGenerator;
  /** Undefined where there is none. */
  pgbench: Pgbench | undefined;
  echo: Target;
  plain: Target;
  service: Target;
  /** Products of the service, and as many in the tables of the peers, from 1. */
  productIds: number[];
  /** On the database of the service. */
  client: pg.Client;
}

/** What the goals are judged at; the other numbers of connections show the shape. */
export const JUDGED_CONNECTIONS = 100;
export const MIX_CONNECTIONS = 200;
const PGBENCH_CLIENTS = 32;
const BETWEEN_MS = 150;
/** How long a step waits for PostgreSQL to clean up after those before it. */
const CLEAN_UP_MS = 15_000;
/** What answers over HTTP is compiled while it runs, and is slow until then. One step of each kind is enough. */
const WARM_UP_MS = 2500;
const WARM_UP = new Set([
  'pgbench.hot',
  'echo.post.100',
  'echo.get.100',
  'plain.spread',
  'orders.spread.100',
  'get.100',
]);

/** All measurements by name, one for each round. */
export type Measurements = Map<string, Measurement[]>;

interface Step {
  name: string;
  run: (measureMs: number) => Promise<Measurement>;
}

export class Rounds {
  readonly measurements: Measurements = new Map();
  readonly faults: string[] = [];
  acknowledged = 0;
  /** How busy the machine was before each run, while nothing of ours was at work: the share of others. */
  readonly busyBetween: number[] = [];
  readonly #parties: Parties;
  readonly #measureMs: number;
  readonly #connections: readonly number[];
  readonly #say: (text: string) => void;

  constructor(
    parties: Parties,
    options: { measureMs: number; connections: readonly number[]; say: (text: string) => void },
  ) {
    this.#parties = parties;
    this.#measureMs = options.measureMs;
    this.#connections = options.connections;
    this.#say = options.say;
  }

  /** Once before the rounds: compilers and caches get warm, and the figures are dropped. */
  async warmUp(): Promise<void> {
    for (const step of this.#steps().filter(({ name }) => WARM_UP.has(name))) {
      this.#say(`warm-up   ${step.name}`);
      await step.run(Math.max(this.#measureMs, WARM_UP_MS));
    }
  }

  async runRound(number: number): Promise<void> {
    const steps = this.#steps();
    for (const step of number % 2 === 0 ? steps.toReversed() : steps) {
      await this.#awaitCleanUp();
      const before = cpuTimes();
      await sleep(BETWEEN_MS);
      this.busyBetween.push(busySince(before));
      const measurement = await step.run(this.#measureMs);
      const earlier = this.measurements.get(step.name) ?? [];
      this.measurements.set(step.name, [...earlier, measurement]);
      const { perSecond, latencyMs } = measurement;
      const figures = `${Math.round(perSecond).toLocaleString('en-US').padStart(9)}/s   p50 ${latencyMs.p50.toFixed(2)} ms`;
      this.#say(`round ${number}   ${step.name.padEnd(18)} ${figures}`);
    }
  }

  /** Autovacuum takes half a core for seconds, of whoever happens to be measured then. */
  async #awaitCleanUp(): Promise<void> {
    const vacuums = "select 1 from pg_stat_activity where backend_type = 'autovacuum worker'";
    const giveUpAt = performance.now() + CLEAN_UP_MS;
    while ((await this.#parties.client.query(vacuums)).rowCount !== 0) {
      if (performance.now() > giveUpAt) return this.#say('autovacuum is still at work');
      await sleep(BETWEEN_MS);
    }
  }

  #steps(): Step[] {
    const { echo, plain, service, productIds } = this.#parties;
    const [hotId = 0] = productIds;
    const hot = [orderRequest(hotId)];
    const spread = productIds.map((id) => orderRequest(id));
    const reads = productIds.map((id) => readRequest(`/products/${id}`));
    const peerHot = [orderRequest(1)];
    const peerSpread = productIds.map((_, index) => orderRequest(index + 1));
    // 80 % reads: four of the five requests for each product.
    const mix = productIds.flatMap((id) => [
      orderRequest(id),
      ...Array.from({ length: 4 }, () => readRequest(`/products/${id}`)),
    ]);
    const each = (steps: (connections: number) => Step[]) => this.#connections.flatMap(steps);
    return [
      ...this.#pgbench('pgbench.hot', PGBENCH_CLIENTS, 1),
      ...each((count) => [
        this.#peer(`echo.post.${count}`, echo, hot, count),
        this.#service(`orders.hot.${count}`, service, hot, count),
      ]),
      this.#peer('plain.hot', plain, peerHot, JUDGED_CONNECTIONS),
      ...this.#pgbench('pgbench.spread', PGBENCH_CLIENTS, productIds.length),
      ...each((count) => [this.#service(`orders.spread.${count}`, service, spread, count)]),
      this.#peer('plain.spread', plain, peerSpread, JUDGED_CONNECTIONS),
      ...each((count) => [
        this.#peer(`echo.get.${count}`, echo, reads, count),
        this.#service(`get.${count}`, service, reads, count),
      ]),
      this.#service('mix', service, mix, MIX_CONNECTIONS),
      ...this.#pgbench('pgbench.latency', 1, 1),
      this.#service('orders.latency', service, hot, 1),
    ];
  }

  #pgbench(name: string, clients: number, last: number): Step[] {
    const { pgbench } = this.#parties;
    if (pgbench === undefined) return [];
    const run = async (measureMs: number) => {
      const seconds = Math.max(1, measureMs / 1000);
      const { transactionsPerSecond, latencyMs } = await pgbench.run({ clients, first: 1, last, seconds });
      return { perSecond: transactionsPerSecond, latencyMs };
    };
    return [{ name, run }];
  }

  #peer(name: string, target: Target, requests: HttpRun['requests'], connections: number): Step {
    const run = async (measureMs: number) => {
      const spec = { target, requests, connections, measureMs };
      const outcome = await measureHttp(this.#parties.generator, spec);
      for (const fault of faultsOf(outcome)) this.#blame(`${name}: ${fault}`);
      return outcome.measurement;
    };
    return { name, run };
  }

  /** Like a peer, and afterwards the stock must add up. */
  #service(name: string, target: Target, requests: HttpRun['requests'], connections: number): Step {
    const run = async (measureMs: number) => {
      const spec = { target, requests, connections, measureMs };
      const outcome = await measureHttp(this.#parties.generator, spec);
      this.acknowledged += outcome.answers['201'] ?? 0;
      const wrong = await checkStock(this.#parties.client, this.acknowledged);
      for (const fault of [...faultsOf(outcome), ...wrong]) this.#blame(`${name}: ${fault}`);
      return outcome.measurement;
    };
    return { name, run };
  }

  #blame(fault: string): void {
    this.faults.push(fault);
    this.#say(`FAULT     ${fault}`);
  }
}
