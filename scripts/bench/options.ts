import { existsSync } from 'node:fs';
import path from 'node:path';

import { readArguments, readNumber, readWholeNumber, UsageError } from '../support/arguments.ts';

export interface BenchOptions {
  mode: 'quick' | 'default' | 'full';
  rounds: number;
  measureMs: number;
  connections: readonly number[];
  /** Orders in the database that is compared with an empty one; 0: no comparison. */
  growthOrders: number;
  /** Another built checkout of this project, to be compared with instead of the peers. */
  against: string | undefined;
}

const MODES = {
  quick: { rounds: 1, seconds: 1.2, connections: [100], growthOrders: 0 },
  default: { rounds: 3, seconds: 4, connections: [25, 100, 200], growthOrders: 0 },
  full: { rounds: 5, seconds: 8, connections: [25, 100, 200], growthOrders: 10_000_000 },
} as const;

const GROWTH_ORDERS = 1_000_000;
const MAX_ROUNDS = 50;
const MAX_SECONDS = 300;

export const BENCH_USAGE = `Measures how fast the service is, as ratios to what is measured beside it.

  npm run bench
  npm run bench -- --quick

  --quick       one short round, less than a minute
  --full        five long rounds, and growth to 10 million orders
  --growth      also compare with a database of a million orders
  --rounds <n>  --seconds <n>
  --against <dir>   instead of the peers, compare with the service of another built checkout of this project, in turn:
                    what a change costs

  BENCH_DATABASE_URL   an administrator's URL of a PostgreSQL on this machine to measure on; without it, one is started

A .env file is read as the service reads it.
Exit code: 0 when every answer was right, 1 when not, 2 for wrong usage.
`;

function readCheckout(folder: string): string {
  const root = path.resolve(folder);
  if (existsSync(path.join(root, 'dist', 'server.js'))) return root;
  throw new UsageError(`--against takes a built checkout of this project: ${root} has no dist/server.js.`);
}

export function readBenchOptions(args: string[]): BenchOptions {
  const values = readArguments(args, {
    quick: { type: 'boolean' },
    full: { type: 'boolean' },
    growth: { type: 'boolean' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    against: { type: 'string' },
  });
  if (values.quick === true && values.full === true)
    throw new UsageError('Either --quick or --full, not both.');
  if (values.against !== undefined && values.growth === true) {
    throw new UsageError('Either --against or --growth, not both.');
  }
  const mode = values.quick === true ? 'quick' : values.full === true ? 'full' : 'default';
  const defaults = MODES[mode];
  const against = values.against === undefined ? undefined : readCheckout(values.against);
  const growthOrders = values.growth === true && mode !== 'full' ? GROWTH_ORDERS : defaults.growthOrders;
  return {
    mode,
    rounds: readWholeNumber('--rounds', values.rounds, MAX_ROUNDS) ?? defaults.rounds,
    measureMs: (readNumber('--seconds', values.seconds, MAX_SECONDS) ?? defaults.seconds) * 1000,
    connections: defaults.connections,
    growthOrders: against === undefined ? growthOrders : 0,
    against,
  };
}
