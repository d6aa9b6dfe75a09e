import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { ClosingStack } from '../src/lib/shutdown.ts';
import { toChart } from './bench/chart.ts';
import { memoryRow, type Row, toRows } from './bench/goals.ts';
import { type GrowthOutcome, measureGrowth } from './bench/growth.ts';
import { LoadGenerator } from './bench/load-generator.ts';
import { describeMachine, type Machine, versionOf } from './bench/machine.ts';
import { BENCH_USAGE, type BenchOptions, readBenchOptions } from './bench/options.ts';
import { createPeerTables, startEcho, startPlain } from './bench/peers.ts';
import { Pgbench } from './bench/pgbench.ts';
import { type BenchPostgres, openBenchPostgres } from './bench/postgres.ts';
import { JUDGED_CONNECTIONS, type Parties, Rounds } from './bench/rounds.ts';
import { call, createProducts, median, MemoryWatch, type MemorySummary } from './bench/service.ts';
import { toTable } from './bench/table.ts';
import { runScript } from './support/arguments.ts';
import { Children } from './support/children.ts';
import { closeAfter } from './support/interrupt.ts';
import { connect } from './support/postgres.ts';
import { startService } from './support/service-process.ts';

/*
 * How fast the service is, as ratios to what is measured beside it: PostgreSQL's own benchmark client, a bare Fastify,
 * and a handler with one transaction an order. Everything runs on this machine, the load generator too, so absolute
 * figures say little about any other; the ratios are what the goals are about.
 */
const SPREAD_PRODUCTS = 50;
/** Above this, what is measured is how the system shares the cores out. */
const BUSY_OTHERS = 0.15;
const FOLDER = path.join(import.meta.dirname, '..', 'bench');

const opened = new ClosingStack();
const startedAt = performance.now();

function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  process.stdout.write(`${seconds.padStart(5)} s   ${text}\n`);
}

interface Outcome {
  rounds: Rounds;
  memory: MemorySummary | undefined;
  pgbenchVersion: string | undefined;
  growth: GrowthOutcome | undefined;
}

async function bench(options: BenchOptions): Promise<boolean> {
  const machine = describeMachine();
  const children = new Children();
  say('starting PostgreSQL');
  const postgres = await openBenchPostgres(opened);
  opened.add(() => children.stopAll());
  const outcome = await measureAll(options, postgres, children);

  const rows = [
    ...toRows(outcome.rounds.measurements, options.connections),
    ...memoryRow(outcome.memory, outcome.rounds.acknowledged),
    ...(outcome.growth?.rows ?? []),
  ];
  const faults = [...outcome.rounds.faults, ...(outcome.growth?.faults ?? [])];
  const notes = describe(options, machine, postgres, outcome);
  process.stdout.write(`\n${notes.join('\n')}\n\n${toTable(rows)}\n\n${verdict(faults)}\n`);
  await write(options, { machine, postgres, outcome, rows, faults });
  return faults.length === 0;
}

async function measureAll(
  options: BenchOptions,
  postgres: BenchPostgres,
  children: Children,
): Promise<Outcome> {
  const generator = new LoadGenerator(children);
  const parties = await gather(postgres, children, generator);
  const { measureMs, connections } = options;
  const rounds = new Rounds(parties, { measureMs, connections, say });
  const watch = new MemoryWatch(parties.service.pid);
  opened.add(async () => watch.stop());
  await rounds.warmUp();
  for (let round = 1; round <= options.rounds; round += 1) await rounds.runRound(round);
  const memory = watch.stop();
  await parties.stop();
  const growth =
    options.growthOrders === 0
      ? undefined
      : await measureGrowth({
          postgres,
          children,
          generator,
          opened,
          say,
          orders: options.growthOrders,
          rounds: options.rounds,
          measureMs: Math.min(measureMs, 3000),
        });
  return { rounds, memory, pgbenchVersion: parties.pgbench?.version, growth };
}

async function gather(
  postgres: BenchPostgres,
  children: Children,
  generator: LoadGenerator,
): Promise<Parties & { stop: () => Promise<void> }> {
  const peerUrl = await postgres.createDatabase('peers');
  await createPeerTables(peerUrl, SPREAD_PRODUCTS);
  const pgbench = await Pgbench.find(children, peerUrl, opened);
  if (pgbench === undefined) say('pgbench was not found: what is compared with it is left out');

  // The echo answers what a service answers; a second one, so that the measured database starts without orders.
  const exampleUrl = await postgres.createDatabase('example');
  const example = await startService(children, { DATABASE_URL: exampleUrl });
  const [exampleId = 0] = await createProducts(example.url, 1);
  const order = await call(`${example.url}/orders`, { product_id: exampleId, quantity: 1 });
  const product = await call(`${example.url}/products/${exampleId}`);
  await example.stop();

  const serviceUrl = await postgres.createDatabase('service');
  const service = await startService(children, { DATABASE_URL: serviceUrl });
  const productIds = await createProducts(service.url, SPREAD_PRODUCTS);
  return {
    generator,
    pgbench,
    service,
    productIds,
    echo: await startEcho(children, { product, order }),
    plain: await startPlain(children, peerUrl),
    client: await connect(serviceUrl, opened, 'bench'),
    stop: () => service.stop(),
  };
}

function describe(
  options: BenchOptions,
  machine: Machine,
  postgres: BenchPostgres,
  { rounds, memory, pgbenchVersion }: Outcome,
): string[] {
  const settings = Object.entries(postgres.settings).map(([name, value]) => `${name} ${value}`);
  const busiest = [...rounds.measurements].flatMap(([name, all]) =>
    all.some(({ generatorCores = 0 }) => generatorCores > 0.9) ? [name] : [],
  );
  const others = median(rounds.busyBetween);
  return [
    `${machine.cores} cores, ${machine.cpu}, ${machine.memoryGb} GB, ${machine.platform}`,
    `Node ${machine.node} · Fastify ${versionOf('fastify')} · PostgreSQL ${postgres.version} · pgbench ${pgbenchVersion ?? 'not found'}`,
    `PostgreSQL: ${settings.join(', ')}${postgres.inMemory ? ' · ON A MEMORY FILE SYSTEM: no disk is flushed' : ''}`,
    `Load: ${machine.loadGenerator}, on the same cores. Service: its defaults, log lines to the null device.`,
    `${roundsOf(options)} in turn; judged at ${JUDGED_CONNECTIONS} connections. Ratios are medians of each round's ratio.`,
    ...(memory === undefined
      ? []
      : [
          `Memory: at most ${memory.maxMb.toFixed(0)} MB, at the end ${memory.lastMb.toFixed(0)} MB; last quarter to second quarter ${memory.growth.toFixed(2)}.`,
        ]),
    ...(others > BUSY_OTHERS
      ? [
          `OTHER PROGRAMS TOOK ${percent(others)} OF THE MACHINE (median between the runs): do not trust these figures.`,
        ]
      : []),
    ...(busiest.length === 0
      ? []
      : [`The load generator took more than 0.9 of a core, and so limits: ${busiest.join(', ')}.`]),
  ];
}

function verdict(faults: readonly string[]): string {
  if (faults.length === 0) return 'Every answer was 200 or 201, and the stock adds up after every run.';
  return `FAULTS\n${faults.map((fault) => `  ${fault}`).join('\n')}`;
}

function roundsOf({ rounds, measureMs }: BenchOptions): string {
  return `${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${measureMs / 1000} s`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

interface Results {
  machine: Machine;
  postgres: BenchPostgres;
  outcome: Outcome;
  rows: Row[];
  faults: string[];
}

async function write(options: BenchOptions, results: Results): Promise<void> {
  const { machine, postgres, outcome, rows, faults } = results;
  const { rounds, memory, pgbenchVersion, growth } = outcome;
  const date = new Date().toISOString().slice(0, 10);
  const raw = {
    date,
    options,
    machine,
    postgres: { version: postgres.version, settings: postgres.settings, inMemory: postgres.inMemory },
    pgbench: pgbenchVersion ?? null,
    rows,
    memory: memory ?? null,
    busyBetween: median(rounds.busyBetween),
    orders: rounds.acknowledged,
    growthOrders: growth?.orders ?? 0,
    faults,
    measurements: Object.fromEntries([...rounds.measurements, ...(growth?.measurements ?? [])]),
  };
  const chart = toChart(rows, {
    title: 'Orders & Inventory: speed against what stands beside it',
    notes: [
      `${machine.cores} cores, ${machine.cpu} · Node ${machine.node} · PostgreSQL ${postgres.version}, fsync and synchronous_commit on · pgbench ${pgbenchVersion ?? 'not found'}, 32 clients`,
      `autocannon on the same cores · ${roundsOf(options)}, in turn, medians · ${date}`,
    ],
  });
  await mkdir(FOLDER, { recursive: true });
  await writeFile(path.join(FOLDER, 'results.json'), `${JSON.stringify(raw, roundNumbers, 2)}\n`);
  await writeFile(path.join(FOLDER, 'results.svg'), chart);
  process.stdout.write('Written: bench/results.json, bench/results.svg\n');
}

function roundNumbers(_name: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}

await runScript(BENCH_USAGE, async (args) => {
  const options = readBenchOptions(args);
  return (await closeAfter(opened, () => bench(options))) ? 0 : 1;
});
