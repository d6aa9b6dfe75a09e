import { parseArgs } from 'node:util';

export interface BenchOptions {
  mode: 'quick' | 'default' | 'full';
  rounds: number;
  measureMs: number;
  connections: readonly number[];
  /** Orders in the database that is compared with an empty one; 0: no comparison. */
  growthOrders: number;
}

const MODES = {
  quick: { rounds: 1, seconds: 1.2, connections: [100], growthOrders: 0 },
  default: { rounds: 3, seconds: 4, connections: [25, 100, 200], growthOrders: 0 },
  full: { rounds: 5, seconds: 8, connections: [25, 100, 200], growthOrders: 10_000_000 },
} as const;

const GROWTH_ORDERS = 1_000_000;
const MAX_ROUNDS = 50;
const MAX_SECONDS = 300;

export const BENCH_USAGE = `npm run bench [-- options]
  --quick       one short round, less than a minute
  --full        five long rounds, and growth to 10 million orders
  --growth      also compare with a database of a million orders
  --rounds N    --seconds N
BENCH_DATABASE_URL: an administrator's URL of a PostgreSQL to measure on; without it, one of our own is started.`;

export function readBenchOptions(args: string[]): BenchOptions {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean' },
      full: { type: 'boolean' },
      growth: { type: 'boolean' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
    },
  });
  if (values.quick === true && values.full === true) throw new Error('Either --quick or --full, not both.');
  const mode = values.quick === true ? 'quick' : values.full === true ? 'full' : 'default';
  const defaults = MODES[mode];
  return {
    mode,
    rounds: readNumber('--rounds', values.rounds, defaults.rounds, MAX_ROUNDS, true),
    measureMs: readNumber('--seconds', values.seconds, defaults.seconds, MAX_SECONDS) * 1000,
    connections: defaults.connections,
    growthOrders: values.growth === true && mode !== 'full' ? GROWTH_ORDERS : defaults.growthOrders,
  };
}

export function readNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  max: number,
  whole = false,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new Error(`${name} must be a ${whole ? 'whole ' : ''}number above 0 and at most ${max}.`);
}
