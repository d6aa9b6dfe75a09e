import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { toChart } from './chart.ts';
import type { Row } from './goals.ts';
import { describeMachine, versionOf } from './machine.ts';
import type { Measurements } from './measure.ts';
import type { MemorySummary } from './memory.ts';
import type { BenchOptions } from './options.ts';
import type { BenchPostgres } from './postgres.ts';
import { toTable } from './table.ts';
import { JUDGED_CONNECTIONS } from './works.ts';

/** What a run came to: for the terminal, for bench/results.json and for the chart. */
export interface Results {
  options: BenchOptions;
  postgres: BenchPostgres;
  pgbenchVersion: string | undefined;
  /** The version that is compared with. */
  other: string | undefined;
  rows: Row[];
  measurements: Measurements;
  memory: MemorySummary | undefined;
  busyBetween: number;
  /** Acknowledged by the service. */
  orders: number;
  faults: string[];
}

/** Above this, what is measured is how the system shares the cores out. */
const BUSY_OTHERS = 0.15;
/** Of one core; above this, the load generator limits what is measured. */
const BUSY_GENERATOR = 0.9;
const FOLDER = path.join(import.meta.dirname, '..', '..', 'bench');

export function describe(results: Results): string {
  const { options, postgres, other, memory, rows, faults } = results;
  const machine = describeMachine();
  const settings = Object.entries(postgres.settings).map(([name, value]) => `${name} ${value}`);
  const notes = [
    `${machine.cores} cores, ${machine.cpu}, ${machine.memoryGb} GB, ${machine.platform}`,
    `Node ${machine.node} · Fastify ${versionOf('fastify')} · PostgreSQL ${postgres.version} · pgbench ${results.pgbenchVersion ?? 'not used'}`,
    `PostgreSQL: ${settings.join(', ')}${postgres.inMemory ? ' · ON A MEMORY FILE SYSTEM: no disk is flushed' : ''}`,
    `Load: ${machine.loadGenerator}, on the same cores. Service: its defaults, log lines to the null device.`,
    `${roundsOf(options)} in turn; judged at ${JUDGED_CONNECTIONS} connections. Ratios are medians of each round's ratio.`,
    ...(other === undefined ? [] : [`The other version, as peer: ${other}`]),
    ...(memory === undefined
      ? []
      : [
          `Memory: at most ${memory.maxMb.toFixed(0)} MB, at the end ${memory.lastMb.toFixed(0)} MB; last quarter to second quarter ${memory.growth.toFixed(2)}.`,
        ]),
    ...warnings(results),
  ];
  return `${notes.join('\n')}\n\n${toTable(rows)}\n\n${verdict(faults)}`;
}

function warnings({ busyBetween, measurements }: Results): string[] {
  const limited = [...measurements].flatMap(([name, all]) =>
    all.some(({ generatorCores = 0 }) => generatorCores > BUSY_GENERATOR) ? [name] : [],
  );
  return [
    ...(busyBetween > BUSY_OTHERS
      ? [
          `OTHER PROGRAMS TOOK ${Math.round(busyBetween * 100)} % OF THE MACHINE (median between the runs): do not trust these figures.`,
        ]
      : []),
    ...(limited.length === 0
      ? []
      : [
          `The load generator took more than ${BUSY_GENERATOR} of a core, and so limits: ${limited.join(', ')}.`,
        ]),
  ];
}

function verdict(faults: readonly string[]): string {
  if (faults.length === 0) return 'Every answer was 200 or 201, and the stock adds up after every run.';
  return `FAULTS\n${faults.map((fault) => `  ${fault}`).join('\n')}`;
}

function roundsOf({ rounds, measureMs }: BenchOptions): string {
  return `${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${measureMs / 1000} s`;
}

/** A comparison of two versions concerns one change only, so its file is not committed. */
export async function write(results: Results): Promise<void> {
  const { options, postgres, pgbenchVersion = null, other, measurements, memory = null, ...rest } = results;
  const machine = describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  const { version, settings, inMemory } = postgres;
  const raw = {
    date,
    options,
    machine,
    postgres: { version, settings, inMemory },
    pgbench: pgbenchVersion,
    other,
    ...rest,
    memory,
    growthOrders: options.growthOrders,
    measurements: Object.fromEntries(measurements),
  };
  await mkdir(FOLDER, { recursive: true });
  const name = other === undefined ? 'results' : 'against';
  await writeFile(path.join(FOLDER, `${name}.json`), `${JSON.stringify(raw, roundNumbers, 2)}\n`);
  process.stdout.write(`Written: bench/${name}.json\n`);
  if (other !== undefined) return;
  const chart = toChart(results.rows, {
    title: 'Orders & Inventory: speed against what stands beside it',
    notes: [
      `${machine.cores} cores, ${machine.cpu} · Node ${machine.node} · PostgreSQL ${version}, fsync and synchronous_commit on · pgbench ${pgbenchVersion ?? 'not found'}, 32 clients`,
      `autocannon on the same cores · ${roundsOf(options)}, in turn, medians · ${date}`,
    ],
  });
  await writeFile(path.join(FOLDER, 'results.svg'), chart);
  process.stdout.write('Written: bench/results.svg\n');
}

function roundNumbers(_name: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}
