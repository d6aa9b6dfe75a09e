import { readdir, readFile } from 'node:fs/promises';

import { type Migration, Migrator, sql } from 'kysely';
import { beforeEach, expect, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { openForMigrations } from '../../src/db/database.ts';
import { migrationsDir } from '../../src/db/paths.ts';
import { auditPayments } from '../../src/payments/payment-audit.repository.ts';
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

/** An order of 100 as the version before the ledger of money left it, with its events as `type outcome amount`. */
interface OldOrder {
  status: string;
  events?: string[];
  byHand?: true;
  refundDue?: true;
  /** The exceptions, as `reason status`, of the last events. */
  exceptions?: string[];
  /** What becomes of it: paid, refunded, accepted, refund due, open exceptions. */
  becomes: [paid: number, refunded: number, accepted: number, due: boolean, open: string[]];
}

const OLD_ORDERS: OldOrder[] = [
  { status: 'PENDING', becomes: [0, 0, 0, false, []] },
  { status: 'PAID', events: ['succeeded processed null'], becomes: [100, 0, 0, false, []] },
  { status: 'PAID', byHand: true, becomes: [0, 0, 0, false, []] },
  // "Send it back", although it was the only payment.
  {
    status: 'PAID',
    byHand: true,
    events: ['succeeded review 100'],
    exceptions: ['already_paid OPEN'],
    becomes: [100, 0, 0, false, []],
  },
  {
    status: 'PAID',
    events: ['succeeded processed 100', 'succeeded review 100'],
    exceptions: ['already_paid OPEN'],
    becomes: [200, 0, 0, false, ['already_paid']],
  },
  {
    status: 'PAID',
    events: ['succeeded processed 100', 'succeeded review 100'],
    exceptions: ['already_paid RESOLVED'],
    becomes: [200, 0, 100, false, []],
  },
  {
    status: 'PENDING',
    events: ['succeeded review 60'],
    exceptions: ['amount_mismatch OPEN'],
    becomes: [60, 0, 0, false, ['underpaid']],
  },
  {
    status: 'PENDING',
    events: ['succeeded review 160'],
    exceptions: ['amount_mismatch OPEN'],
    becomes: [160, 0, 0, false, ['overpaid']],
  },
  {
    status: 'CANCELED',
    events: ['succeeded processed 100'],
    refundDue: true,
    becomes: [100, 0, 0, true, []],
  },
  // The refund was due, and came: a review for ever.
  {
    status: 'CANCELED',
    events: ['succeeded processed 100', 'refunded review 100'],
    exceptions: ['order_canceled OPEN'],
    refundDue: true,
    becomes: [100, 100, 0, false, []],
  },
  {
    status: 'CANCELED',
    events: ['refunded review null', 'succeeded processed null'],
    becomes: [100, 100, 0, false, []],
  },
  {
    status: 'CANCELED',
    events: ['failed processed null', 'failed ignored 100'],
    becomes: [0, 0, 0, false, []],
  },
];

async function insertOld(id: number, order: OldOrder): Promise<void> {
  const { status, events = [], byHand, refundDue = false, exceptions = [] } = order;
  await database.query('insert into orders (id, status, total, refund_due) values ($1, $2, 100, $3)', [
    id,
    status,
    refundDue,
  ]);
  if (byHand === true) {
    await database.query(
      `insert into order_steps (order_id, version, position, from_status, to_status, cause, refund_due, actor)
       values ($1, 2, 0, 'PENDING', 'PAID', 'request', false, 'ada')`,
      [id],
    );
  }
  for (const [n, text] of events.entries()) {
    const [type = '', outcome, amount] = text.split(' ');
    const [row] = await database.query<{ id: string }>(
      `insert into inbound_deliveries (identity, event_type, order_id, scheme, outcome, amount, raw_body, actor)
       values ($1, $2, $3, 'standard-webhooks', $4, $5, '{}', 'payment-provider') returning id`,
      [`event:${id}-${n}`, `payment.${type}`, id, outcome, amount === 'null' ? null : amount],
    );
    const [reason, state] = exceptions[n - events.length + exceptions.length]?.split(' ') ?? [];
    if (reason === undefined) continue;
    await database.query(
      `insert into payment_exceptions (payment_event_id, order_id, reason, detail, amount, status, resolution)
       values ($1, $2, $3, '', $4, $5, case $5 when 'RESOLVED' then 'other' end)`,
      [row?.id, id, reason, amount === 'null' ? null : amount, state],
    );
  }
}

test('events of before become the ledger of money: sums, due refunds and exceptions are what the new rules say', async () => {
  await migrateToBefore('0016');
  for (const [n, order] of OLD_ORDERS.entries()) await insertOld(n + 1, order);
  expect((await migrateDatabase(options())).migrated).toContain('0016_keep_a_ledger_of_money');
  const found = await database.query<{ row: OldOrder['becomes'] }>(`
    select json_build_array(amount_paid, amount_refunded, accepted_difference, refund_due, array(
             select reason from payment_exceptions e where e.order_id = o.id and e.status = 'OPEN' order by id)) as row
      from orders o order by id`);
  expect(found.map(({ row }) => row)).toEqual(OLD_ORDERS.map(({ becomes }) => becomes));
  const ledger = await database.query<{ line: string }>(`
    select concat_ws(' ', kind, amount, paid_after, refunded_after, provider, payment_event_id is not null) as line
      from payments where order_id = 10 order by id`);
  expect(ledger.map(({ line }) => line)).toEqual([
    'captured 100.00 100.00 0.00 generic t',
    'refunded 100.00 100.00 100.00 generic t',
  ]);
  const db = openForMigrations(options());
  const audit = await auditPayments(db, 100);
  await db.destroy();
  expect(audit.drifts).toEqual([]);
});
