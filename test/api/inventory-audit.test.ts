import { expect, test } from 'vitest';

import { auditInventory } from '../../src/inventory/audit.repository.ts';
import { createAuditService } from '../../src/inventory/audit.service.ts';
import { createMetrics } from '../../src/metrics.ts';
import { expectNoDrift, tamper } from '../support/audits.ts';
import '../support/problems.ts';
import { observeStatements, together } from '../support/race.ts';
import { type TestService, useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService();

async function audit() {
  const { status, body } = await service.call('GET', '/inventory/audit');
  expect(status).toBe(200);
  return body;
}

/** The sample of a metric, or undefined when there is none. */
async function metric(name: string): Promise<string | undefined> {
  const { text } = await service.call('GET', '/metrics');
  return new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1];
}

test('before the first audit the gauge has no value; an audit of an empty shop sets it to 0', async () => {
  expect(await metric('inventory_drift_units')).toBeUndefined();
  expect(await metric('inventory_audit_timestamp_seconds')).toBe('0');
  const before = Date.now();
  const { checked_at, ...sums } = await audit();
  expect(sums).toEqual({ products: 0, drift_units: 0, drifting_products: 0, drifts: [] });
  expect(Math.abs(Date.parse(checked_at) - before)).toBeLessThan(60_000);
  expect(await metric('inventory_drift_units')).toBe('0');
  expect(Number(await metric('inventory_audit_timestamp_seconds')) * 1000).toBe(Date.parse(checked_at));
});

test('a life of edits, orders in every state, a renamed SKU and a deleted product adds up', async () => {
  const { id } = await service.createProduct({ stock: 100 });
  const other = await service.createProduct({ stock: 5 });
  await service.createProduct({ stock: 0 });
  await service.call('PATCH', `/products/${id}`, { stock: 60 });
  const body = { items: [id, other.id].map((product_id) => ({ product_id, quantity: 1 })) };
  for (const steps of [[], ['PAID'], ['PAID', 'SHIPPED'], ['CANCELED'], ['PAID', 'CANCELED']]) {
    const order = (await service.call('POST', '/orders', body)).body;
    await service.call('PATCH', `/products/${id}`, { sku: `RENAMED-${order.id}` });
    for (const status of steps) await service.call('PUT', `/orders/${order.id}`, { status });
  }
  const gone = await service.createProduct({ stock: 3 });
  expect((await service.call('DELETE', `/products/${gone.id}`)).status).toBe(204);
  await expectNoDrift(service);
  expect((await audit()).products).toBe(3);
});

/** Each of these is one fault in a shop of its own: 10 on hand, of which order 1 holds 2 and the shipped order 2 took 3. */
const faults: [fault: string, statement: string, drift: object][] = [
  [
    'what is on hand is one more than the ledger says',
    'update products set on_hand = on_hand + 1',
    { on_hand: { stored: 8, ledger: 7 }, drift_units: 1 },
  ],
  [
    'one piece more is reserved than the ledger and the orders say',
    'update products set reserved = reserved + 1',
    { reserved: { stored: 3, ledger: 2, orders: 2 }, drift_units: 2 },
  ],
  [
    'the first movement is gone',
    "delete from stock_movements where kind = 'received'",
    { on_hand: { stored: 7, ledger: -3 }, drift_units: 10 },
  ],
  [
    'the movement of a shipping is gone',
    "delete from stock_movements where kind = 'shipped'",
    {
      on_hand: { stored: 7, ledger: 10 },
      reserved: { stored: 2, ledger: 5, orders: 2 },
      drift_units: 6,
    },
  ],
  [
    'every movement is gone',
    'delete from stock_movements',
    { on_hand: { stored: 7, ledger: 0 }, reserved: { stored: 2, ledger: 0, orders: 2 }, drift_units: 9 },
  ],
  [
    'a movement has another delta',
    "update stock_movements set delta = 3 where kind = 'reserved' and order_id = 1",
    { reserved: { stored: 2, ledger: 3, orders: 2 }, drift_units: 1 },
  ],
  [
    'the item of an open order has another quantity',
    'update order_items set quantity = 6 where order_id = 1',
    { reserved: { stored: 2, ledger: 2, orders: 6 }, drift_units: 4 },
  ],
  [
    'an open order lost its item',
    'delete from order_items where order_id = 1',
    { reserved: { stored: 2, ledger: 2, orders: 0 }, drift_units: 2 },
  ],
  [
    'an order was canceled by hand and gave nothing back',
    "update orders set status = 'CANCELED' where id = 1",
    { reserved: { stored: 2, ledger: 2, orders: 0 }, drift_units: 2 },
  ],
  [
    'a shipped order is open again',
    "update orders set status = 'PAID' where id = 2",
    { reserved: { stored: 2, ledger: 2, orders: 5 }, drift_units: 3 },
  ],
  [
    'the product is gone, its movements and its open order are not',
    'delete from products',
    {
      sku: null,
      on_hand: { stored: 0, ledger: 7 },
      reserved: { stored: 0, ledger: 2, orders: 2 },
      drift_units: 11,
    },
  ],
];

test.each(faults)('%s: the audit names the product and the units', async (_fault, statement, drift) => {
  const shop = await useTestService();
  const { id, sku } = await shop.createProduct({ stock: 10 });
  await shop.placeOrder(id, 2);
  await shop.placeOrder(id, 3);
  for (const status of ['PAID', 'SHIPPED']) await shop.call('PUT', '/orders/2', { status });
  await expectNoDrift(shop);

  await tamper(shop.database, statement);
  const whole = {
    product_id: id,
    sku,
    on_hand: { stored: 7, ledger: 7 },
    reserved: { stored: 2, ledger: 2, orders: 2 },
    ...drift,
  };
  const { body } = await shop.call('GET', '/inventory/audit');
  const { drift_units } = whole as { drift_units?: number };
  expect(body).toMatchObject({ drift_units, drifting_products: 1, drifts: [whole] });
  const { text } = await shop.call('GET', '/metrics');
  expect(text).toContain(`\ninventory_drift_units ${drift_units}\n`);
});

test('1,200 drifting products: the sums are over all, the 1,000 largest are listed, the largest first', async () => {
  const shop = await useTestService();
  await shop.database.query(
    `insert into products (sku, name, price, on_hand) select 'S' || n, 'x', 1, n from generate_series(1, 1200) n`,
  );
  const { body } = await shop.call('GET', '/inventory/audit');
  expect(body).toMatchObject({ products: 1200, drift_units: (1200 * 1201) / 2, drifting_products: 1200 });
  const units = body.drifts.map((drift: { drift_units: number }) => drift.drift_units);
  expect(units).toEqual(Array.from({ length: 1000 }, (_, index) => 1200 - index));
});

test('100 callers at once share at most 2 runs', async () => {
  const runs: string[] = [];
  observeStatements(service, ({ text }) => {
    if (text.includes('stock_movements')) runs.push(text);
  });
  const answers = await together(100, () => service.call('GET', '/inventory/audit'));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(runs.length).toBeLessThanOrEqual(2);
});

test('the audit reads by one statement outside of a transaction, which would hold up the readers of events', async () => {
  const sent: string[] = [];
  observeStatements(service, ({ text }) => sent.push(text));
  await audit();
  expect(sent).toHaveLength(1);
});

test('a filter that does not exist: 422', async () => {
  expect(await service.call('GET', '/inventory/audit?product_id=1')).toHaveFaults('query/product_id');
});

/** Makes reading the products take that long. */
async function slowDown({ database }: TestService, seconds: number): Promise<void> {
  await database.query(`
    alter table products rename to stored_products;
    create view products as select stored_products.* from pg_sleep(${seconds}), stored_products`);
}

test('an audit that takes longer than a caller may wait: 503 that says so, and the run goes on to the gauge', async () => {
  const shop = await useTestService();
  await slowDown(shop, 0.3);
  const metrics = createMetrics();
  const { reports } = shop.own;
  const audits = createAuditService({
    reports,
    read: auditInventory,
    show: ({ drift_units }) => metrics.inventoryDrift.set(drift_units),
    metricName: 'inventory_drift_units',
    callerWaitMs: 100,
  });
  const refusal = { status: 503, headers: { 'retry-after': '60' } };
  await expect(audits.audit()).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining('longer than 0.1 s'),
  });
  await audits.refresh();
  expect((await metrics.inventoryDrift.get()).values).toMatchObject([{ value: 0 }]);
  await audits.stop();
});

test('stopping the service does not wait for an audit of 25 s', async () => {
  const shop = await useTestService();
  await slowDown(shop, 25);
  const asked = shop.call('GET', '/inventory/audit');
  await expect
    .poll(() =>
      shop.database.query(
        "select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()",
      ),
    )
    .toHaveLength(1);
  await shop.services.stop();
  expect(await asked).toBeProblem(503, 'service_unavailable');
  const late = await shop.call('GET', '/inventory/audit');
  expect(late).toBeProblem(503, 'service_unavailable', 'The service is stopping');
}, 20_000);
