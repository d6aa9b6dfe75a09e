import { describe, expect, test } from 'vitest';

import { startBackground } from '../../src/background.ts';
import {
  expiredBy,
  letTimePass,
  placeOverdue,
  stockOf,
  sweep,
  useExpiringService,
} from '../support/expiry.ts';
import { tamper } from '../support/audits.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { eventsOf } from '../support/race.ts';
import { useTestService } from '../support/service.ts';

const MINUTE_MS = 60_000;

describe('expires_at', () => {
  test('15 minutes after the time of the order, in its answer, its replay, its reading, the list and a preview', async () => {
    const service = await useExpiringService();
    const { id: product_id } = await service.createProduct();
    const key = { 'idempotency-key': 'once' };
    const place = () => service.call('POST', '/orders', { product_id, quantity: 1 }, key);
    const { body: order } = await place();
    expect(Date.parse(order.expires_at) - Date.parse(order.created_at)).toBe(15 * MINUTE_MS);
    expect((await place()).body).toEqual(order);
    expect((await service.call('GET', `/orders/${order.id}`)).body).toEqual(order);
    expect((await service.call('GET', '/orders')).body).toEqual([order]);

    // The database's time, whatever the time of this process.
    const [{ now } = { now: '' }] = await service.database.query<{ now: string }>(
      'select now()::text as now',
    );
    const { body: preview } = await service.call('POST', '/orders?dry_run=true', { product_id, quantity: 1 });
    expect(Date.parse(preview.expires_at) - Date.parse(preview.created_at)).toBe(15 * MINUTE_MS);
    expect(Date.parse(preview.created_at)).toBeGreaterThanOrEqual(Math.floor(Date.parse(now)));
  });

  test('is null where orders do not expire, and such an order never does', async () => {
    const service = await useTestService();
    const { id: product_id } = await service.createProduct();
    const { body: order } = await service.call('POST', '/orders', { product_id, quantity: 1 });
    expect(order.expires_at).toBeNull();
    const preview = await service.call('POST', '/orders?dry_run=true', { product_id, quantity: 1 });
    expect(preview.body.expires_at).toBeNull();
    await tamper(service.database, `update orders set created_at = now() - interval '10 years'`);
    expect(await sweep(service)).toBe(0);
    expect((await service.call('GET', `/orders/${order.id}`)).body.status).toBe('PENDING');
  });

  test('stays on an order that was paid in time, which does not expire any more: nor when it is shipped', async () => {
    const service = await useExpiringService();
    const { id } = await service.createProduct({ stock: 10 });
    const order = await service.placeOrder(id, 4);
    const paid = await service.call('PUT', `/orders/${order.id}`, { status: 'PAID' });
    expect(paid.body.expires_at).toEqual(expect.any(String));
    // Not with letTimePass: it was paid before this time.
    await tamper(
      service.database,
      `update orders set expires_at = updated_at + interval '1 millisecond' where id = ${order.id}`,
    );
    expect(await sweep(service)).toBe(0);
    const short = await service.call('POST', '/orders', { product_id: id, quantity: 7 });
    expect(short).toBeProblem(409, 'insufficient_stock', 'Insufficient stock. Available: 6, Requested: 7');
    expect((await service.call('PUT', `/orders/${order.id}`, { status: 'SHIPPED' })).status).toBe(200);
    expect(await sweep(service)).toBe(0);
    expect(await stockOf(service, id)).toEqual({ stock: 6, reserved: 0, on_hand: 6 });
    await expectStockAddsUp(service.database);
  });
});

describe('the sweep', () => {
  test('cancels what is overdue and nothing else: 3 of 6 orders, each with one event, one movement and its reason', async () => {
    const service = await useExpiringService();
    const { id } = await service.createProduct({ stock: 20 });
    const overdue = await placeOverdue(service, 3, [id, 2]);
    const [young, paid, canceled] = await Promise.all([1, 2, 3].map(() => service.placeOrder(id, 1)));
    await service.call('PUT', `/orders/${paid?.id}`, { status: 'PAID' });
    await service.call('DELETE', `/orders/${canceled?.id}`);
    await letTimePass(service, [young?.id ?? 0], -60_000);

    expect(await sweep(service)).toBe(3);
    expect(await sweep(service)).toBe(0);
    expect(await expiredBy(service)).toEqual({ sweep: 3 });
    for (const order of overdue) {
      expect(await eventsOf(service, order)).toEqual(['order.created 1', 'order.expired 2']);
    }
    const { body: history } = await service.call('GET', `/orders/${overdue[0]}/history`);
    expect(history[1]).toMatchObject({ from: 'PENDING', to: 'CANCELED', cause: 'expired', actor: 'system' });
    expect(history[1]).toMatchObject({ version: 2, request_id: null, refund_due: false });
    const { body: order } = await service.call('GET', `/orders/${overdue[0]}`);
    expect(order).toMatchObject({ status: 'CANCELED', version: 2 });
    expect(order).not.toHaveProperty('refund_due');
    const released = await service.database.query(
      `select delta::int, actor, reason from stock_movements where order_id = $1 and kind = 'released'`,
      [overdue[0]],
    );
    expect(released).toEqual([{ delta: -2, actor: 'system', reason: 'expired' }]);
    expect(await stockOf(service, id)).toEqual({ stock: 18, reserved: 2, on_hand: 20 });
    await expectStockAddsUp(service.database);
  });

  test('takes 250 orders in batches, and orders that were placed under another ORDER_TTL_MINUTES, too', async () => {
    const service = await useExpiringService();
    const { id } = await service.createProduct({ stock: 250 });
    await placeOverdue(service, 250, [id, 1]);
    const other = await useTestService({ database: service.database, orderTtlMinutes: 0 });
    expect(await sweep(other)).toBe(250);
    expect(await stockOf(service, id)).toEqual({ stock: 250, reserved: 0, on_hand: 250 });
    // One batch, one change of the product.
    expect((await service.call('GET', `/products/${id}`)).headers.etag).toBe(
      `"${await versionAfter(service.database)}"`,
    );
    await expectStockAddsUp(service.database);
  });

  test('tells for how long the longest overdue order has waited, and 0 when there is none', async () => {
    const service = await useExpiringService();
    const { id } = await service.createProduct();
    const [order] = await placeOverdue(service, 1, [id, 1]);
    await letTimePass(service, [order ?? 0], 3_600_000);
    const waited = async () => (await service.services.metrics.ordersOverdue.get()).values[0]?.value;
    await sweep(service);
    expect(await waited()).toBeGreaterThanOrEqual(3600);
    await sweep(service);
    expect(await waited()).toBe(0);
  });

  test('runs by itself in the background', async () => {
    const service = await useExpiringService();
    const { id } = await service.createProduct();
    const failures: unknown[] = [];
    const stop = startBackground(service.services, (error) => failures.push(error));
    const [first] = await placeOverdue(service, 1, [id, 1]);
    const statusOf = async (order: number | undefined) =>
      (await service.call('GET', `/orders/${order}`)).body.status as string;
    await expect.poll(() => statusOf(first)).toBe('CANCELED');
    await stop();
    expect(failures).toEqual([]);
  });

  test('a job that fails is named to the log and counted by its name', async () => {
    const service = await useExpiringService();
    const { audits, metrics } = service.services;
    const failure = new Error('the audit cannot run');
    const told: unknown[] = [];
    const failing = { ...audits, refresh: () => Promise.reject(failure) };
    const services = { ...service.services, audits: failing };
    const stop = startBackground(services, (...failed) => told.push(failed));
    await expect.poll(() => told).toEqual([[failure, 'inventory audit']]);
    await stop();
    expect((await metrics.jobFailures.get()).values).toMatchObject([
      { labels: { name: 'inventory audit' }, value: 1 },
    ]);
  });

  test('until it comes by, the order shows as PENDING and its stock as reserved', async () => {
    const service = await useExpiringService();
    const { id } = await service.createProduct({ stock: 5 });
    const [order] = await placeOverdue(service, 1, [id, 5]);
    expect((await service.call('GET', `/orders/${order}`)).body.status).toBe('PENDING');
    expect(await stockOf(service, id)).toEqual({ stock: 0, reserved: 5, on_hand: 5 });
  });
});

/** One for the creation, and one for every transaction that has moved the product's stock since. */
async function versionAfter(database: { query: (text: string) => Promise<unknown[]> }): Promise<number> {
  const rows = await database.query(`
    select from events where aggregate_type = 'order' group by transaction_id`);
  return 1 + rows.length;
}
