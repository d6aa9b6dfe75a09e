import { readdir, readFile } from 'node:fs/promises';

import { type Migration, Migrator, sql } from 'kysely';
import { beforeEach, expect, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { openForMigrations } from '../../src/db/database.ts';
import { migrationsDir } from '../../src/db/paths.ts';
import { StartupError } from '../../src/lib/startup-error.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/* Databases of older versions, with data that a newer rule does not allow. */

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase('template1');
  onTestFinished(() => database.drop());
});

function options() {
  return { url: database.url, pgbouncer: false, onIdleError: () => undefined };
}

/** Runs the migrations that come before the named one. */
async function migrateToBefore(name: string): Promise<void> {
  const files = (await readdir(migrationsDir)).filter((file) => file.endsWith('.sql') && file < name);
  const entries = files.map(async (file) => {
    const text = await readFile(`${migrationsDir}/${file}`, 'utf8');
    const up: Migration['up'] = async (db) => void (await sql.raw(text).execute(db));
    return [file.replace('.sql', ''), { up }] as const;
  });
  const migrations = Object.fromEntries(await Promise.all(entries));
  const db = openForMigrations(options());
  const provider = { getMigrations: async () => migrations };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  await db.destroy();
  if (error !== undefined) throw error;
}

async function refusal(): Promise<string> {
  const failed: unknown = await migrateDatabase(options()).catch((error: unknown) => error);
  if (!(failed instanceof StartupError)) throw new Error('the migration did not refuse in a sentence');
  return failed.message;
}

async function insert(sku: string, onHand: number, reserved = 0): Promise<void> {
  const text = 'insert into products (sku, name, price, on_hand, reserved) values ($1, $1, 1, $2, $3)';
  await database.query(text, [sku, onHand, reserved]);
}

test('SKUs that differ only in case: refused in a sentence that names them, and nothing is changed; renamed, it goes on', async () => {
  await migrateToBefore('0009');
  for (const sku of ['MUG', 'tea', 'mug', 'Tea', 'Mug', 'cup']) await insert(sku, 1);
  expect(await refusal()).toContain(
    'MUG (product 1) and mug (product 3) and Mug (product 5), tea (product 2) and Tea (product 4). Rename or delete',
  );
  // The version before still runs: it knows SKUs by their spelling.
  await insert('MuG', 1);
  await database.query("update products set sku = 'S' || id where sku <> 'cup'");
  expect((await migrateDatabase(options())).migrated).toContain('0009_limit_stock_and_skus');
  await expect(insert('CUP', 1)).rejects.toThrow('products_sku_key');
});

function step(from: string, to: string, cause: string, refund_due = false): object {
  return { order: {}, transition: { from, to, cause, refund_due } };
}

test('steps and causes of orders and the SKUs of deleted products come out of the event log, whose order begins anew', async () => {
  await migrateToBefore('0011');
  await database.query(`insert into orders (id, status, total, version) values
    (1, 'PENDING', 1, 1), (2, 'SHIPPED', 1, 3), (3, 'CANCELED', 1, 2), (4, 'CANCELED', 1, 2)`);
  const event = (type: string, id: number, version: number, payload: object | null, aggregate = 'order') =>
    database.query(
      `insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, request_id, payload, occurred_at)
       values ($1, $2, $3, $4::text::bigint, 'ada', 'r-' || $4::text, $5, '2026-01-02T03:04:05.678Z')`,
      [type, aggregate, id, version, payload && JSON.stringify(payload)],
    );
  for (const id of [1, 2, 3, 4]) await event('order.created', id, 1, null);
  await event('order.paid', 2, 2, step('PENDING', 'PAID', 'payment.succeeded'));
  await event('order.shipped', 2, 3, step('PAID', 'SHIPPED', 'request'));
  await event('order.expired', 3, 2, step('PENDING', 'CANCELED', 'expired'));
  // Two steps of one transaction: a refund that came before its payment.
  await event('order.paid', 4, 2, step('PENDING', 'PAID', 'payment.succeeded'));
  await event('order.canceled', 4, 2, step('PAID', 'CANCELED', 'payment.succeeded', true));
  await event('product.created', 7, 1, { product: { sku: 'FIRST' } }, 'product');
  await event('product.updated', 7, 2, { product: { sku: 'LAST' } }, 'product');
  await event('product.deleted', 7, 3, { product: { sku: 'LAST' } }, 'product');
  await database.query("update events set transaction_id = '9000000000000'::xid8 where type = 'order.paid'");

  expect((await migrateDatabase(options())).migrated).toContain('0011_keep_history_outside_events');
  expect(
    await database.query(`
      select format('%s v%s.%s %s>%s %s %s %s %s', order_id, version, position, from_status, to_status, cause, refund_due,
                    actor, request_id) as step
        from order_steps where at = '2026-01-02T03:04:05.678Z' order by order_id, version, position`),
  ).toEqual(
    [
      '2 v2.0 PENDING>PAID payment.succeeded f ada r-2',
      '2 v3.0 PAID>SHIPPED request f ada r-3',
      '3 v2.0 PENDING>CANCELED expired f ada r-2',
      '4 v2.0 PENDING>PAID payment.succeeded f ada r-2',
      '4 v2.1 PAID>CANCELED payment.succeeded t ada r-2',
    ].map((text) => ({ step: text })),
  );
  expect(await database.query('select cancel_cause from orders order by id')).toEqual(
    [null, null, 'expired', 'payment.succeeded'].map((cancel_cause) => ({ cancel_cause })),
  );
  expect(await database.query('select id, sku from deleted_products')).toEqual([{ id: '7', sku: 'LAST' }]);
  // The log had come from another cluster before.
  expect(await database.query('select epoch from event_epochs order by epoch')).toEqual([
    { epoch: 1 },
    { epoch: 2 },
  ]);
  expect(await database.query('select from event_feed')).toHaveLength(12);
});

test('more than 1,000,000,000 on hand: refused in a sentence that names the products; lowered, it goes on', async () => {
  await migrateToBefore('0009');
  await insert('FULL', 1_000_000_000, 1_000_000_000);
  await insert('FULLER', 2_000_000_000, 1_000_000_000);
  await database.query(
    `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, actor)
     values (2, 'received', 2000000000, 2000000000, 0, 'test')`,
  );
  expect(await refusal()).toContain('on hand of FULLER (product 2). Lower their stock');
  await database.query('update products set on_hand = 1000000000 where id = 2');
  expect((await migrateDatabase(options())).migrated).toContain('0009_limit_stock_and_skus');
  // What the ledger says of earlier times stays.
  expect(await database.query('select from stock_movements')).toHaveLength(1);
});

test('what was refused and what was applied become one table: ids stay, a failure that was applied goes, unverified ones stay apart', async () => {
  await migrateToBefore('0012');
  await database.query(
    `insert into payment_events (identity, event_type, order_id, scheme, outcome, raw_body, actor)
     values ('event:applied', 'payment.succeeded', 1, 'standard-webhooks', 'processed', '{}', 'payment-provider')`,
  );
  await database.query(
    `insert into webhook_refusals (verdict, identity, scheme, reason, detail, raw_body, body_bytes, request_id,
                                   deliveries, received_at, last_delivered_at)
     values ('valid', 'event:applied', 'standard-webhooks', 'service_unavailable', 'late', '{}', 2, 'r', 1, now(), now()),
            ('valid', 'event:early', 'standard-webhooks', 'order_not_found', 'x', '{}', 2, 'r', 3, now(), now()),
            ('forged', 'event:early', null, 'invalid_signature', 'x', '{}', 9000, 'r', 1, now(), now())`,
  );
  expect((await migrateDatabase(options())).migrated).toContain('0012_unite_inbound_deliveries');
  expect(
    await database.query(
      'select id::int, verdict, outcome, identity, deliveries, body_bytes from inbound_deliveries order by id',
    ),
  ).toEqual([
    {
      id: 1,
      verdict: 'valid',
      outcome: 'processed',
      identity: 'event:applied',
      deliveries: 1,
      body_bytes: null,
    },
    { id: 3, verdict: 'valid', outcome: 'failed', identity: 'event:early', deliveries: 3, body_bytes: null },
    {
      id: 4,
      verdict: 'forged',
      outcome: 'refused',
      identity: 'forged:event:early',
      deliveries: 1,
      body_bytes: 9000,
    },
  ]);
});
