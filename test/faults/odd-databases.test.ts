import { randomBytes } from 'node:crypto';

import pg from 'pg';
import { describe, expect, inject, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { tamper } from '../support/audits.ts';
import { connectForeign } from '../support/baskets.ts';
import { createTestDatabase, type TestDatabase, useTestDatabase } from '../support/database.ts';
import { useEmptyDatabase } from '../support/process.ts';
import { tally } from '../support/race.ts';
import { useTestService } from '../support/service.ts';

/* Databases as others have set them up: what they say of the session must not change what the service does. */

function migrate({ url }: Pick<TestDatabase, 'url'>) {
  return migrateDatabase({ url, pgbouncer: false, onIdleError: () => undefined });
}

/** A migrated database with settings, which every connection gets that is opened from now on. */
async function useDatabaseWith(settings: Readonly<Record<string, string>>): Promise<TestDatabase> {
  const database = await useTestDatabase();
  for (const [name, value] of Object.entries(settings)) {
    await database.query(
      `do $$ begin execute format('alter database %I set ${name} = ''${value}''', current_database()); end $$`,
    );
  }
  return database;
}

/** An empty database that `create database` makes so. */
async function useCreatedDatabase(as: string): Promise<TestDatabase> {
  const name = `oi_test_odd_${process.pid}_${randomBytes(4).toString('hex')}`;
  const admin = new pg.Client({ connectionString: inject('adminUrl') });
  await admin.connect();
  await admin.query(`create database ${name} template template0 ${as}`);
  const url = new URL(inject('adminUrl'));
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 1 });
  pool.on('error', () => undefined);
  onTestFinished(async () => {
    await pool.end();
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  });
  return {
    url: url.href,
    query: async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
      (await pool.query<R>(text, values)).rows,
    drop: async () => undefined,
  };
}

test.each(['German', 'SQL, DMY', 'SQL, MDY', 'Postgres, DMY'])(
  'DateStyle %s in a zone of its own: every time is right',
  async (datestyle) => {
    const database = await useDatabaseWith({ datestyle, timezone: 'Europe/Berlin' });
    const service = await useTestService({ database });
    const { id } = await service.createProduct();
    const order = await service.placeOrder(id, 1);
    // A day that could be a month.
    const at = '2026-12-05T10:00:00.000Z';
    await tamper(database, `update orders set created_at = '${at}'`);
    await database.query(
      `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, actor, created_at)
       values ($1, 'adjusted', 1, 101, 1, 'test', $2)`,
      [id, at],
    );
    const orders = [
      (await service.call('GET', `/orders/${order.id}`)).body,
      (await service.call('GET', '/orders')).body[0],
      (await service.call('GET', `/products/${id}/stock-movements?sort=-id`)).body[0],
    ];
    expect(orders.map(({ created_at }) => created_at)).toEqual([at, at, at]);
    const { created_at } = (await service.call('GET', `/products/${id}`)).body;
    expect(Math.abs(Date.parse(created_at) - Date.now())).toBeLessThan(600_000);
  },
);

test.each(['repeatable read', 'serializable'])(
  'default_transaction_isolation %s: 40 adjustments of one product, 20 orders and their payments all succeed',
  async (level) => {
    const database = await useDatabaseWith({ default_transaction_isolation: level });
    const service = await useTestService({ database });
    const { id } = await service.createProduct();
    const adjustments = Array.from({ length: 40 }, () =>
      service.call('POST', `/products/${id}/stock-adjustments`, { delta: 1, reason: 'Found' }),
    );
    expect(tally(await Promise.all(adjustments))).toEqual({ 201: 40 });
    const orders = await Promise.all(Array.from({ length: 20 }, () => service.placeOrder(id, 1)));
    const payments = orders.map((order) =>
      service.pay({ event_type: 'payment.succeeded', order_id: order.id, amount: order.total }),
    );
    expect(tally(await Promise.all(payments))).toEqual({ 200: 20 });
    expect((await service.call('GET', '/inventory/audit')).body).toMatchObject({ drift_units: 0 });
  },
);

test('transaction_timeout ends a wait for a lock: 503 with Retry-After', async ({ skip }) => {
  const database = await useTestDatabase();
  const known = await database.query("select from pg_settings where name = 'transaction_timeout'");
  skip(known.length === 0, 'PostgreSQL has transaction_timeout from 17 on');
  await database.query(
    `do $$ begin execute format('alter database %I set transaction_timeout = ''500ms''', current_database()); end $$`,
  );
  const service = await useTestService({ database });
  const { id } = await service.createProduct();
  const foreign = await connectForeign(database);
  await foreign.query('begin');
  await foreign.query('set local transaction_timeout = 0');
  await foreign.query('select from products for update');
  const answers = await Promise.all([
    service.call('PATCH', `/products/${id}`, { name: 'Another' }),
    service.call('POST', `/products/${id}/stock-adjustments`, { delta: 1, reason: 'Found' }),
    service.call('POST', '/orders', { product_id: id, quantity: 1 }),
  ]);
  expect(answers.map(({ status, headers }) => [status, Number(headers['retry-after']) > 0])).toEqual([
    [503, true],
    [503, true],
    [503, true],
  ]);
  await foreign.query('rollback');
  expect((await service.call('PATCH', `/products/${id}`, { name: 'Another' })).status).toBe(200);
});

test('PG* variables of the environment change nothing', async () => {
  const names = { PGOPTIONS: '-c search_path=elsewhere', PGSSLMODE: 'require', PGPORT: '1' };
  Object.assign(process.env, names);
  onTestFinished(() => {
    for (const name of Object.keys(names)) Reflect.deleteProperty(process.env, name);
  });
  const service = await useTestService();
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  for (const url of [`/products/${id}`, `/orders/${order.id}`, '/orders', '/readyz', '/inventory/audit']) {
    expect([url, (await service.call('GET', url)).status]).toEqual([url, 200]);
  }
});

describe("others' tables", () => {
  test("another schema's kysely_migration is not taken for our own", async () => {
    const database = await useEmptyDatabase();
    await database.query('create schema crm');
    await database.query(
      'create table crm.kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)',
    );
    const { migrated } = await migrate(database);
    expect(migrated.at(0)).toBe('0001_create_schema');
    expect(await migrate(database)).toEqual({ migrated: [], newer: [] });
    expect(await database.query('select from crm.kysely_migration')).toEqual([]);
  });

  test('readiness looks at none of them: one that is locked holds nothing up', async () => {
    const service = await useTestService();
    await service.database.query('create schema etl');
    await service.database.query('create table etl.stage (id int generated always as identity)');
    const foreign = await connectForeign(service.database);
    await foreign.query('begin');
    await foreign.query('lock table etl.stage in access exclusive mode');
    expect((await service.call('GET', '/readyz')).status).toBe(200);
    expect(await migrate(service.database)).toEqual({ migrated: [], newer: [] });
    await foreign.query('rollback');
  });
});

test('a database that a newer version has migrated: this one starts, says so and is ready', async () => {
  const service = await useTestService();
  await service.database.query("insert into kysely_migration values ('9999_of_tomorrow', now()::text)");
  expect(await migrate(service.database)).toEqual({ migrated: [], newer: ['9999_of_tomorrow'] });
  expect((await service.call('GET', '/readyz')).status).toBe(200);
});

test.each(['SQL_ASCII', 'LATIN1'])('encoding %s is refused in a sentence', async (encoding) => {
  const database = await useCreatedDatabase(`encoding '${encoding}' locale 'C'`);
  await expect(migrate(database)).rejects.toThrow(
    new RegExp(`^The database oi_test_odd_\\w+ is encoded in ${encoding}, .*'UTF8'`),
  );
  expect(await database.query("select to_regclass('products') as found")).toEqual([{ found: null }]);
});

test('locale C: text is found in any case, composed or not', async () => {
  const database = await useCreatedDatabase("encoding 'UTF8' locale 'C'");
  await migrate(database);
  const service = await useTestService({ database });
  const composed = await service.createProduct({ name: 'Éclair Straße' });
  const decomposed = await service.createProduct({ name: 'E\u0301clair Kaffeemu\u0308hle' });
  const find = async (q: string): Promise<number[]> => {
    const { body } = await service.call('GET', `/products?q=${encodeURIComponent(q)}`);
    return body.map(({ id }: { id: number }) => id);
  };
  for (const q of ['éclair', 'ÉCLAIR', 'e\u0301clair', 'E\u0301CLAIR']) {
    expect([q, await find(q)]).toEqual([q, [composed.id, decomposed.id]]);
  }
  expect(await find('MÜHLE')).toEqual([decomposed.id]);
  expect(await find('straße')).toEqual([composed.id]);
  const customer_email = 'Buyer@Example.COM';
  const order = { product_id: composed.id, quantity: 1, customer_email };
  expect((await service.call('POST', '/orders', order)).status).toBe(201);
  const { body } = await service.call('GET', '/orders?customer_email=bUYER@eXAMPLE.com');
  expect(body).toMatchObject([{ customer_email }]);
});

test('a role that may not use the sequences is not ready', async () => {
  const database = await createTestDatabase();
  const role = `oi_test_role_${process.pid}_${randomBytes(4).toString('hex')}`;
  await database.query(`create role ${role} login password 'of-the-test'`);
  onTestFinished(async () => {
    await database.query(`drop owned by ${role}`);
    await database.query(`drop role ${role}`);
    await database.drop();
  });
  await database.query(`grant select, insert, update, delete on all tables in schema public to ${role}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'of-the-test';
  const service = await useTestService({ database: { ...database, url: url.href } });
  expect((await service.call('GET', '/readyz')).status).toBe(503);
  await database.query(`grant usage on all sequences in schema public to ${role}`);
  expect((await service.call('GET', '/readyz')).status).toBe(200);
  await service.placeOrder((await service.createProduct()).id, 1);
});
