import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { endure, type Fault } from '../support/endure.ts';
import { type OwnDatabase, OwnPostgres } from '../support/own-postgres.ts';
import { allKinds, type Kind } from '../support/traffic.ts';

/*
 * What can become of PostgreSQL itself, on a server of our own: the service and its callers run through each of these.
 */
let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await OwnPostgres.create();
});
afterAll(() => postgres.remove());

const TERMINATE_EVERY_MS = 50;
const writes: readonly Kind[] = ['place', 'pay', 'create', 'edit'];

const ask = (sql: string) => postgres.query<{ pid: number }>('postgres', sql);
const backendsOf = ({ name }: OwnDatabase, condition = 'true') =>
  ask(`select pid from pg_stat_activity where datname = '${name}' and ${condition}`);

/** A condition of backendsOf: the transaction of the backend has written this relation. */
const hasWritten = (oid: number | undefined) => `exists (select from pg_locks l
  where l.pid = pg_stat_activity.pid and l.mode = 'RowExclusiveLock' and l.relation = ${oid})`;

async function terminate(database: OwnDatabase): Promise<void> {
  for (const { pid } of await backendsOf(database)) await ask(`select pg_terminate_backend(${pid})`);
}

async function set(setting: string): Promise<void> {
  await ask(`alter system set ${setting}`);
  await ask('select pg_reload_conf()');
}

/**
 * What a backend does when a debugger, a stuck disk or a swapping machine holds it up.
 * @param awaited must be true of one of them first
 */
async function freeze(database: OwnDatabase, condition: string, awaited = 'true'): Promise<void> {
  await expect
    .poll(() => backendsOf(database, `${condition} and ${awaited}`), { interval: 2 })
    .not.toEqual([]);
  for (const { pid } of await backendsOf(database, condition)) postgres.freeze(pid);
}

const faults: Record<string, (database: OwnDatabase) => Fault> = {
  'is stopped, and started again': () => ({
    felt: allKinds,
    begin: () => postgres.stop('fast'),
    end: () => postgres.start(),
  }),
  'crashes, and recovers': () => ({
    felt: allKinds,
    begin: () => postgres.stop('immediate'),
    end: () => postgres.start(),
  }),
  'takes no connections to this database': (database) => ({
    felt: allKinds,
    async begin() {
      await ask(`alter database ${database.name} allow_connections false`);
      await terminate(database);
    },
    end: () => ask(`alter database ${database.name} allow_connections true`),
  }),
  'has no connection left': (database) => ({
    felt: allKinds,
    async begin() {
      await ask(`alter database ${database.name} connection limit 0`);
      await terminate(database);
    },
    end: () => ask(`alter database ${database.name} connection limit -1`),
  }),
  'is read-only': () => ({
    felt: writes,
    begin: () => set('default_transaction_read_only = on'),
    end: () => set('default_transaction_read_only = off'),
  }),
  'has a backend terminated every 50 ms': (database) => {
    let storm = Promise.resolve();
    const weather = { over: false };
    return {
      felt: ['place', 'edit'],
      async begin() {
        storm = (async () => {
          while (!weather.over) {
            const [one] = await backendsOf(database, 'true order by random() limit 1');
            if (one !== undefined) await ask(`select pg_terminate_backend(${one.pid})`);
            await sleep(TERMINATE_EVERY_MS);
          }
        })();
      },
      async end() {
        weather.over = true;
        await storm;
      },
    };
  },
  'has every backend of the service frozen': (database) => ({
    // Not always the reads: theirs may all go over connections that are opened after the others were frozen.
    felt: ['place', 'edit'],
    begin: () => freeze(database, "backend_type = 'client backend'"),
    end: async () => postgres.thaw(),
  }),
  'has backends frozen in COMMIT': (database) => ({
    felt: ['place'],
    async begin() {
      // A COMMIT waits for a standby that is not there; its backend has flushed it, and holds its locks.
      await set("synchronous_standby_names = 'nobody'");
      // Another COMMIT may be the first to wait, but only one that has written a product holds up orders.
      const [oids] = await database.query<{ products: number; ids: number }>(
        "select 'products'::regclass::oid as products, 'products_id_seq'::regclass::oid as ids",
      );
      const holdsUpOrders = `${hasWritten(oids?.products)} and not ${hasWritten(oids?.ids)}`;
      await freeze(database, "wait_event = 'SyncRep'", holdsUpOrders);
      await set("synchronous_standby_names = ''");
    },
    end: async () => postgres.thaw(),
  }),
};

test.each(Object.entries(faults))(
  'PostgreSQL %s: every answer is legal or 503 in time, all is back within 5 s, each key has one order',
  async (_name, fault) => {
    const database = await postgres.createDatabase();
    expect(await endure(fault(database), { DATABASE_URL: database.url }, database)).toEqual([]);
  },
);
