import { ClosingStack } from '../src/lib/shutdown.ts';
import type { Bench } from './bench/bench.ts';
import { memoryRow, toRows, toRowsAgainst } from './bench/goals.ts';
import { measureGrowth } from './bench/growth.ts';
import { LoadGenerator } from './bench/load-generator.ts';
import { MemoryWatch } from './bench/memory.ts';
import { BENCH_USAGE, type BenchOptions, readBenchOptions } from './bench/options.ts';
import { openBenchPostgres } from './bench/postgres.ts';
import { describe, type Results, write } from './bench/results.ts';
import { Rounds } from './bench/rounds.ts';
import { againstOther, againstPeers, OTHER } from './bench/side-by-side.ts';
import { median } from './bench/statistics.ts';
import { runScript } from './support/arguments.ts';
import { Children, startChild } from './support/children.ts';
import { closeAfter } from './support/interrupt.ts';

/*
 * How fast the service is, as ratios to what is measured beside it: PostgreSQL's own benchmark client, a bare Fastify,
 * and a handler with one transaction an order, or another version of itself. Everything runs on this machine, the load
 * generator too, so absolute figures say little about any other; the ratios are what the goals are about.
 */
const opened = new ClosingStack();
const startedAt = performance.now();

await runScript(BENCH_USAGE, async (args) => {
  const options = readBenchOptions(args);
  const results = await closeAfter(opened, () => measureAll(options));
  process.stdout.write(`\n${describe(results)}\n`);
  await write(results);
  return results.faults.length === 0 ? 0 : 1;
});

function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  process.stdout.write(`${seconds.padStart(5)} s   ${text}\n`);
}

async function measureAll(options: BenchOptions): Promise<Results> {
  const children = new Children();
  say('starting PostgreSQL');
  const postgres = await openBenchPostgres(opened);
  opened.add(() => children.stopAll());
  const bench = { postgres, children, generator: new LoadGenerator(children), opened, say };
  const sideBySide = await measureSideBySide(bench, options);
  const { growthOrders: orders, rounds } = options;
  if (orders === 0) return { ...sideBySide, options, postgres };
  const measureMs = Math.min(options.measureMs, 3000);
  const growth = await measureGrowth(bench, { orders, rounds, measureMs });
  return {
    ...sideBySide,
    options,
    postgres,
    rows: [...sideBySide.rows, ...growth.rows],
    measurements: new Map([...sideBySide.measurements, ...growth.measurements]),
    faults: [...sideBySide.faults, ...growth.faults],
  };
}

async function measureSideBySide(
  bench: Bench,
  { against, connections, measureMs, rounds: count }: BenchOptions,
): Promise<Omit<Results, 'options' | 'postgres'>> {
  const contest = await (against === undefined
    ? againstPeers(bench, connections)
    : againstOther(bench, against));
  const { steps, shop, pgbenchVersion } = contest;
  const rounds = new Rounds(bench, { steps, measureMs, client: shop.client });
  const watch = new MemoryWatch(shop.service.pid);
  opened.add(async () => watch.stop());
  await rounds.warmUp(contest.warmUp);
  await rounds.run(count);
  const memory = watch.stop();
  await shop.service.stop();
  const { measurements, faults } = rounds;
  const rows =
    against === undefined
      ? [...toRows(measurements, connections), ...memoryRow(memory, shop.orders)]
      : toRowsAgainst(measurements, OTHER);
  const other = against === undefined ? undefined : await describeCheckout(against);
  const busyBetween = median(rounds.busyBetween);
  return { pgbenchVersion, other, rows, measurements, memory, busyBetween, orders: shop.orders, faults };
}

/** Its commit where it is one of git's, and where it is. */
async function describeCheckout(root: string): Promise<string> {
  const { stdout } = await startChild('git', ['-C', root, 'log', '-1', '--format=%h %s'], {});
  return `${stdout.trim()} in ${root}`.trim();
}
