import { defineConfig } from 'vitest/config';

import { findPgbouncer } from './test/support/pgbouncer.ts';

// Vite takes these characters of a path for the parts of a URL, and then finds none of the files.
const unloadable = /[#?%]/.exec(import.meta.dirname);
if (unloadable !== null) {
  process.stderr.write(
    `The tests cannot run below a folder with ${unloadable[0]} in its name: move this checkout.\n`,
  );
  process.exit(1);
}

const shared = {
  // Races and kills take their time on a small or busy machine; a test that hangs still ends.
  testTimeout: 240_000,
  hookTimeout: 240_000,
  // Files share what they import: loading it anew for each took 30 s of the quick run. None keeps state in a module. It
  // stands here because a project does not inherit it from the options of the whole run.
  isolate: false,
  // A state is waited for until it is there. The 1 s that is usual is a bound on the speed of the machine.
  expect: { poll: { timeout: 30_000 } },
};

const everything = 'test/{unit,api,races,faults,schema,drills,scripts}/**/*.test.ts';

/**
 * What takes minutes together, and of which a change breaks the least: plans over a million rows, whole drills, servers and
 * services that are started, killed and restored. `npm run test:long` runs them.
 */
const longFiles = [
  'test/schema/{feed-plans,movement-plans,payment-plans,plans}.test.ts',
  'test/drills/{crash,locks,outbox,races,restart}.test.ts',
  'test/faults/{backup,connections,database-network,database-server,embedded,embedded-roles,embedded-root}.test.ts',
  'test/faults/{output,pipeline-storm,reused-transaction-id,shares,silence,stop}.test.ts',
  'test/races/{ledger,model}.test.ts',
];

/** Any file, by `npx vitest run --project all test/...`. */
const all = { test: { ...shared, name: 'all', include: [everything] } };

/** What `npm test` runs. Files that are in none of the lists here run in it. */
const main = { test: { ...shared, name: 'main', include: [everything], exclude: longFiles } };

const long = { test: { ...shared, name: 'long', include: longFiles } };

/** What `npm run test:quick` runs: every rule once, and the races that carry the promise. */
const quick = {
  test: {
    ...shared,
    name: 'quick',
    include: ['test/{unit,api}/**/*.test.ts', 'test/races/{idempotency,oversell,payments}.test.ts'],
    // Clocks, audits and metrics of databases that are away, which are waited for.
    exclude: ['test/api/{clock-set-back,general,inventory-audit,payment-metrics,stock-limits}.test.ts'],
  },
};

/** What `npm run test:long` also runs: the API, and the races for stock and keys, with the database behind PgBouncer in transaction mode. */
const pgbouncer = {
  test: {
    ...shared,
    name: 'pgbouncer',
    include: [
      'test/{api,pgbouncer}/**/*.test.ts',
      'test/races/{batch,deadlock,idempotency,oversell,payments,payments-held}.test.ts',
    ],
    provide: { throughPgbouncer: true },
  },
};

/** And races once more, each over two processes of the built service on one database. */
const processes = {
  test: {
    ...shared,
    name: 'processes',
    include: ['test/races/{idempotency,orders,oversell,payments,products}.test.ts'],
    provide: { inProcesses: true },
  },
};

const behindPgbouncer = findPgbouncer() === undefined ? [] : [pgbouncer];

export default defineConfig({
  test: {
    projects: [all, quick, main, long, processes, ...behindPgbouncer],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/totals-reporter.ts'],
    // Two workers on two cores: more would only make the races compete with each other for the processor.
    maxWorkers: 2,
    coverage: { provider: 'v8', include: ['src/**'], exclude: ['src/db/schema.ts'] },
  },
});
