import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { beforeAll, expect, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { tamper } from '../support/audits.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { letTimePass, sweep } from '../support/expiry.ts';
import { useSharedService, useTestService } from '../support/service.ts';

/* What the log, the ledger and the steps of orders promise to those who read them years later. */

const service = useSharedService();
let orderId: number;

beforeAll(async () => {
  const { id } = await service.createProduct();
  ({ id: orderId } = await service.placeOrder(id, 1));
  await service.pay({ event_type: 'payment.succeeded', order_id: orderId, event_id: 'paid' });
  await service.call('DELETE', `/products/${(await service.createProduct({ sku: 'GONE' })).id}`);
});

const PLACED = ['id', 'total', 'customer_email', 'expires_at', 'created_at'];
const KEPT = [
  'events',
  'stock_movements',
  'order_items',
  'order_steps',
  'deleted_products',
  'event_epochs',
  'payments',
];

test.each([
  ...KEPT.flatMap((table) => [`delete from ${table}`, `truncate ${table}`]),
  'update events set actor = actor',
  'update stock_movements set actor = actor',
  'update order_items set quantity = quantity',
  'update order_steps set actor = actor',
  'update deleted_products set sku = sku',
  'update event_epochs set first_id = first_id',
  'update payments set amount = amount',
  ...PLACED.map((column) => `update orders set ${column} = ${column}`),
  'truncate orders cascade',
  'delete from inbound_deliveries',
  'truncate inbound_deliveries cascade',
])('%s is refused, whatever the role', async (statement) => {
  await expect(service.database.query(statement)).rejects.toMatchObject({ code: '23001' });
});

test('the deliveries of a payment event are counted, and orders change their states', async () => {
  await service.database.query(
    'update inbound_deliveries set deliveries = deliveries + 1, last_delivered_at = now()',
  );
  await service.database.query('update orders set refund_due = refund_due, version = version');
  expect(await service.database.query('select deliveries from inbound_deliveries')).toEqual([
    { deliveries: 2 },
  ]);
});

/** Another value than that of the payment that was accepted, by the type of the column. */
const OTHER_VALUES: Record<string, string> = {
  bigint: '987654',
  integer: '987654',
  numeric: '9876.54',
  text: "'changed'",
  bytea: "'changed'",
  timestamptz: "'2001-01-01'",
};

test('of an event that was accepted, only the count of its deliveries changes', async () => {
  const columns = await service.database.query<{ name: string; type: string }>(`
    select attname as name, split_part(replace(format_type(atttypid, null), 'timestamp with time zone', 'timestamptz'), '(', 1) as type
      from pg_attribute where attrelid = 'inbound_deliveries'::regclass and attnum > 0 and not attisdropped`);
  const codes: Record<string, string | undefined> = {};
  for (const { name, type } of columns) {
    // One transaction, which the division (22012) undoes where the update is let through.
    const change = `update inbound_deliveries set ${name} = ${OTHER_VALUES[type]}; select 1 / 0`;
    codes[name] = await service.database.query(change).then(
      () => undefined,
      (error: unknown) => (error as { code: string }).code,
    );
  }
  const free = { deliveries: '22012', last_delivered_at: '22012' };
  expect(codes).toEqual({ ...Object.fromEntries(columns.map(({ name }) => [name, '23001'])), ...free });
});

test('a delivery that failed may become the event, and what had no effect may be deleted', async () => {
  await service.pay({ event_type: 'payment.succeeded', order_id: 123_456, event_id: 'early' });
  await service.services.inbox.flush();
  const failed = "outcome = 'failed' and identity = 'event:early'";
  const [row] = await service.database.query(`select from inbound_deliveries where ${failed}`);
  expect(row).toBeDefined();
  await service.database.query(`update inbound_deliveries set reason = 'other' where ${failed}`);
  await service.database.query(`delete from inbound_deliveries where ${failed}`);
});

test('the columns that an order.created payload is built from are all guarded', async () => {
  const [answer] = await service.database.query<{ free: string[] }>(`
    select array_agg(attname::text order by attname) as free from pg_attribute
     where attrelid = 'orders'::regclass and attnum > 0 and not attisdropped
       and not exists (select from pg_trigger
                        where tgrelid = attrelid and tgname = 'orders_as_placed' and attnum = any(tgattr::int2[]))`);
  // A new order has status PENDING, version 1, no money, no refund_due, and updated_at = created_at.
  expect(answer?.free).toEqual([
    'accepted_difference',
    'amount_paid',
    'amount_refunded',
    'cancel_cause',
    'paid_by_hand',
    'refund_due',
    'status',
    'updated_at',
    'version',
  ]);
});

test('traceparent is null or a W3C one', async () => {
  const text = `insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload, traceparent)
    values ('order.paid', 'order', $1, 2, 'test', '{}', $2)`;
  await service.database.query(text, [900_001, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01']);
  await expect(service.database.query(text, [900_002, 'no'])).rejects.toThrow('events_traceparent_format');
});

test('nothing notifies but the signal of commits, behind them and on a connection of its own: NOTIFY locks the whole cluster', async () => {
  const functions = await service.database.query(`
    select proname from pg_proc where pronamespace = 'public'::regnamespace and prosrc ~* 'notify'`);
  expect(functions).toEqual([]);
  const files = readdirSync('src', { recursive: true }).map(String);
  const notifying = files.filter(
    (file) =>
      file.endsWith('.ts') && /pg_notify|\bnotify\b/i.test(readFileSync(path.join('src', file), 'utf8')),
  );
  expect(notifying).toEqual([path.join('db', 'commit-signal.ts')]);
});

/** How many of the oldest events retention deletes, at most as many as asked, when all of them have been read. */
async function deleteOld(of: TestDatabase, atMost: number, read = "2, '0', 0"): Promise<number> {
  const [row] = await of.query<{ deleted: string }>(
    `select delete_old_events(now(), $1, ${read}) as deleted`,
    [atMost],
  );
  return Number(row?.deleted);
}

test('retention deletes the old beginning of the log alone, at most as many as asked, and keeps a week whatever is asked', async () => {
  const { database } = service;
  const events = await database.query<{ id: string }>('select id from events order by transaction_id, id');
  const [, , third, fourth] = events;
  // What comes behind an event that is kept is kept, too: the log has no holes.
  await tamper(
    database,
    `update events set occurred_at = now() - interval '8 days' where id <> ${fourth?.id}`,
  );
  // The slowest outlet has read the third.
  const [{ place } = { place: '' }] = await database.query<{ place: string }>(
    `select format('1, %L, %s', transaction_id, id) as place from events where id = ${third?.id}`,
  );
  const first = await database.query(`select 1 from events`);
  // Transactions of other tests may hold the horizon for a while.
  await expect.poll(() => database.query('select from event_feed')).toHaveLength(first.length);
  const deleted = [];
  for (const atMost of [2, 10, 10]) deleted.push(await deleteOld(database, atMost, place));
  expect(deleted).toEqual([2, 1, 0]);
  expect(await deleteOld(database, 10)).toBe(0);
  expect(await database.query('select from events')).toHaveLength(first.length - 3);
  expect(await database.query('select id from swept_events')).toEqual([{ id: third?.id }]);
  // The permission ended with the call, also within its transaction.
  await expect(database.query('delete from events')).rejects.toMatchObject({ code: '23001' });
  const text = "begin; select delete_old_events(now(), 1, 2, '0', 0); delete from events; commit";
  await expect(database.query(text)).rejects.toMatchObject({ code: '23001' });
  await database.query('rollback').catch(() => undefined);
});

test('a setting alone does not let another role delete events', async () => {
  const role = `oi_test_role_${process.pid}`;
  await service.database.query(`create role ${role}; grant select, delete on events to ${role}`);
  const text = `begin; set local role ${role}; set local orders_inventory.retention = 'events';
                delete from events; commit`;
  await expect(service.database.query(text)).rejects.toMatchObject({ code: '23001' });
  await service.database.query('rollback').catch(() => undefined);
  await service.database.query(`revoke all on events from ${role}; drop role ${role}`);
});

test('with an empty log, histories, late payments and the ledger of a deleted product answer the same', async () => {
  const other = await useTestService({ orderTtlMinutes: 15 });
  const { id: product_id } = await other.createProduct({ stock: 10 });
  const { id: gone } = await other.createProduct({ sku: 'GONE', stock: 3 });
  await other.call('DELETE', `/products/${gone}`);
  const shipped = await other.placeOrder(product_id, 1);
  for (const status of ['PAID', 'SHIPPED']) await other.call('PUT', `/orders/${shipped.id}`, { status });
  const refunded = await other.placeOrder(product_id, 1);
  await other.pay({ event_type: 'payment.refunded', order_id: refunded.id, event_id: 'refund' });
  await other.pay({ event_type: 'payment.succeeded', order_id: refunded.id, event_id: 'payment' });
  const expired = await other.placeOrder(product_id, 1);
  await letTimePass(other, [expired.id]);
  await sweep(other);
  const paths = [
    ...[shipped, refunded, expired].map(({ id }) => `/orders/${id}/history`),
    `/products/${gone}/stock-movements`,
    `/products/${gone}/stock/explain`,
  ];
  const answers = async () => {
    const bodies = [];
    for (const url of paths) bodies.push({ ...(await other.call('GET', url)).body, as_of: '' });
    return bodies;
  };
  const before = await answers();
  const steps = before.map((body) => Object.values(body).filter(Boolean));
  expect(steps[0]).toMatchObject([
    { from: null, to: 'PENDING', cause: 'placed', actor: 'anonymous', version: 1 },
    { from: 'PENDING', to: 'PAID', cause: 'request', version: 2 },
    { from: 'PAID', to: 'SHIPPED', version: 3 },
  ]);
  expect(steps[1]).toMatchObject([
    { to: 'PENDING' },
    { to: 'PAID', cause: 'payment.succeeded', version: 3, actor: 'payment-provider' },
    { to: 'CANCELED', cause: 'payment.succeeded', version: 3 },
  ]);
  expect(steps[2]).toMatchObject([{ to: 'PENDING' }, { from: 'PENDING', to: 'CANCELED', cause: 'expired' }]);
  expect(before[4]).toMatchObject({ sku: 'GONE', matches: true });
  await tamper(other.database, 'delete from events');
  expect(await answers()).toEqual(before);
  const late = await other.pay({ event_type: 'payment.succeeded', order_id: expired.id, event_id: 'late' });
  expect(late.body).toMatchObject({ status: 'review', reason: 'order_expired' });
});

/** The feed as a reader pages it: by epoch, transaction and id. */
async function feed(of: TestDatabase, after = '(0, 0, 0)'): Promise<{ type: string; position: string }[]> {
  return of.query(
    `select type, format('(%s, %s, %s)', epoch, transaction_id, id) as position from event_feed
      where (epoch, transaction_id::text::numeric, id) > ${after}
      order by epoch, transaction_id, id`,
  );
}

/**
 * The feed is these types in this order. The last one is new: until transactions of other tests that began earlier end,
 * the feed may not show it yet, and its epoch says where it will stand.
 */
async function expectFeed(of: TestDatabase, types: string[], epochOfLast: number, after?: string) {
  const seen = (await feed(of, after)).map(({ type }) => type);
  expect([types, types.slice(0, -1)]).toContainEqual(seen);
  const text = `select count(*)::int as epoch from event_epochs
                 where first_id <= (select id from events where type = $1)`;
  expect(await of.query(text, [types.at(-1)])).toEqual([{ epoch: epochOfLast }]);
}

test('a log restored into another cluster, whose transaction ids lie in the future, leads on in its order', async () => {
  const restored = await createTestDatabase();
  onTestFinished(() => restored.drop());
  const migrate = () =>
    migrateDatabase({ url: restored.url, pgbouncer: false, onIdleError: () => undefined });
  const insert = (type: string, id: number) =>
    restored.query(
      `insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload)
       values ($1, 'order', $2, 2, 'test', '{}')`,
      [type, id],
    );
  for (const id of [1, 2, 3]) await insert(`old.${id}`, id);
  // What the other cluster had counted to, and an order of transactions that is not that of ids.
  await tamper(
    restored,
    `update events set transaction_id = (case type when 'old.1' then '9000000000000' else '8000000000000' end)::xid8`,
  );
  await tamper(restored, 'update event_epochs set system_identifier = 1');
  // Hidden before the first start, and so it would stay for years.
  expect(await feed(restored)).toEqual([]);

  await migrate();
  const old = await feed(restored);
  expect(old.map(({ type }) => type)).toEqual(['old.2', 'old.3', 'old.1']);
  await insert('new.1', 4);
  await expectFeed(restored, ['old.2', 'old.3', 'old.1', 'new.1'], 2);
  // A cursor of before the restore leads on.
  await expectFeed(restored, ['old.3', 'old.1', 'new.1'], 2, old[0]?.position);
  // Further starts on the same cluster change nothing.
  await Promise.all([migrate(), migrate()]);
  expect(await restored.query('select epoch from event_epochs order by epoch')).toHaveLength(2);

  // Restored once more, with ids that are ahead of this cluster though it cannot be told apart.
  await tamper(restored, `update events set transaction_id = '9100000000000'::xid8 where type = 'new.1'`);
  await migrate();
  await insert('newest.1', 5);
  await expectFeed(restored, ['old.2', 'old.3', 'old.1', 'new.1', 'newest.1'], 3);
});
