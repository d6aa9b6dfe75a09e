import { expect, test } from 'vitest';

import { expiredBy, letTimePass, placeOverdue, stockOf, sweep } from '../support/expiry.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { eventsOf, tally, together, useRacingService } from '../support/race.ts';
import type { TestService } from '../support/service.ts';

async function twoInstances(): Promise<[TestService, TestService]> {
  const one = await useRacingService({ orderTtlMinutes: 15 });
  return [one, await useRacingService({ orderTtlMinutes: 15, database: one.database })];
}

test('no sweep, 7 pieces in 7 overdue orders, 100 buyers at two instances: exactly 7 win', async () => {
  const instances = await twoInstances();
  const [service] = instances;
  const { id } = await service.createProduct({ stock: 7 });
  await placeOverdue(service, 7, [id, 1]);
  const buy = (buyer: number) =>
    instances[buyer % 2]?.call('POST', '/orders', { product_id: id, quantity: 1 }) ?? Promise.reject();
  const answers = await together(100, buy);
  expect(tally(answers)).toEqual({ 201: 7, 409: 93 });
  expect(await stockOf(service, id)).toEqual({ stock: 0, reserved: 7, on_hand: 7 });
  const expired = await service.database.query(`select from events where type = 'order.expired'`);
  expect(expired).toHaveLength(7);
  await expectStockAddsUp(service.database);
});

test('two instances sweep 500 overdue orders of 10 products, while both sell what is released: each expires once', async () => {
  const instances = await twoInstances();
  const [service] = instances;
  const products = await together(10, () => service.createProduct({ stock: 50 }));
  await together(10, (n) => placeOverdue(service, 50, [products[n]?.id ?? 0, 1]));
  const [first, second, answers] = await Promise.all([
    sweep(instances[0]),
    sweep(instances[1]),
    together(200, (buyer) =>
      (instances[buyer % 2] ?? service).call('POST', '/orders', {
        product_id: products[buyer % 10]?.id,
        quantity: 1,
      }),
    ),
  ]);
  // None is refused: 20 of each product are asked for, and 50 are there as soon as somebody looks.
  expect(tally(answers)).toEqual({ 201: 200 });
  await sweep(service);
  const counts = await Promise.all(instances.map(expiredBy));
  const found = counts.map(({ sweep: swept = 0, order = 0 }) => [swept, order]);
  expect(found.flat().reduce((sum, count) => sum + count)).toBe(500);
  expect(first + second).toBeGreaterThan(0);
  const expired = await service.database.query(`select from events where type = 'order.expired'`);
  expect(expired).toHaveLength(500);
  for (const product of products) {
    expect(await stockOf(service, product.id)).toEqual({ stock: 30, reserved: 20, on_hand: 50 });
  }
  await expectStockAddsUp(service.database);
});

const PAID = 'paid';
const PAID_BY_PUT = 'paid by PUT, the webhook is a review';
const EXPIRED = 'expired, the webhook is a review';
const LEGAL = new Set([PAID, PAID_BY_PUT, EXPIRED]);

/** Overdue for so long: the first surely, the last surely not, and those between become so at any moment of the race. */
const AGES_MS = [1000, 3, 0, -1, -2, -4, -8, -16, -32, -60_000];

test('100 orders reach their time while they are paid, swept and wanted by a buyer: paid, or expired with a review', async () => {
  const instances = await twoInstances();
  const [service, other] = instances;
  const endings: Record<string, number> = {};
  for (let round = 0; round < 100; round++) {
    const { id: product_id } = await service.createProduct({ stock: 1 });
    const order = await service.placeOrder(product_id, 1);
    const event = { event_type: 'payment.succeeded', order_id: order.id, event_id: `pay-${order.id}` };
    await letTimePass(service, [order.id], AGES_MS[round % AGES_MS.length]);
    const contenders = [
      () => service.pay(event),
      () => sweep(other),
      () => other.call('POST', '/orders', { product_id, quantity: 1 }),
      () => sweep(service),
      () => other.pay(event),
      () => service.call('PUT', `/orders/${order.id}`, { status: 'PAID' }),
    ];
    const first = round % contenders.length;
    const turned = [...contenders.slice(first), ...contenders.slice(0, first)];
    await Promise.all(turned.map(async (contender) => contender()));
    const ending = await endingOf(service, order.id);
    endings[ending] = (endings[ending] ?? 0) + 1;
  }
  const { [EXPIRED]: expired = 0, [PAID]: paid = 0, [PAID_BY_PUT]: paidByPut = 0 } = endings;
  expect(Object.keys(endings).filter((ending) => !LEGAL.has(ending))).toEqual([]);
  expect(Math.min(expired, paid + paidByPut)).toBeGreaterThanOrEqual(10);
  await expectStockAddsUp(service.database);
});

/** In words; anything else than the legal ways comes out as it is. */
async function endingOf(service: TestService, orderId: number): Promise<string> {
  const { body } = await service.call('GET', `/orders/${orderId}`);
  const reviews = await service.database.query<{ reason: string }>(
    'select reason from payment_exceptions where order_id = $1',
    [orderId],
  );
  const outcome = [
    body.status,
    ...(await eventsOf(service, orderId)),
    ...reviews.map((r) => r.reason),
  ].join();
  const legal: Record<string, string> = {
    'PAID,order.created 1,order.paid 2': PAID,
    'PAID,order.created 1,order.paid 2,already_paid': PAID_BY_PUT,
    'CANCELED,order.created 1,order.expired 2,order_expired': EXPIRED,
  };
  return legal[outcome] ?? outcome;
}

test('20 orders, each expired by 2 sweeps, 3 late webhooks, a PUT and a DELETE at once: one expiry, one release, one review', async () => {
  const instances = await twoInstances();
  const [service, other] = instances;
  const { id: product_id } = await service.createProduct({ stock: 20 });
  const orders = await placeOverdue(service, 20, [product_id, 1]);
  await together(20, async (n) => {
    const id = orders[n] ?? 0;
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `late-${id}` };
    const answers = await Promise.all([
      service.pay(event),
      other.pay(event),
      other.pay(event),
      service.call('PUT', `/orders/${id}`, { status: 'PAID' }),
      other.call('DELETE', `/orders/${id}`),
      sweep(service).then(() => undefined),
      sweep(other).then(() => undefined),
    ]);
    expect(answers.slice(0, 5).map((answer) => answer?.status)).toEqual([200, 200, 200, 400, 400]);
    expect(await endingOf(service, id)).toBe(EXPIRED);
  });
  expect(await stockOf(service, product_id)).toEqual({ stock: 20, reserved: 0, on_hand: 20 });
  await expectStockAddsUp(service.database);
});
