import fc from 'fast-check';
import { expect, test } from 'vitest';

import { expectNoDrift } from '../support/audits.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together, useRacingService } from '../support/race.ts';
import type { TestService } from '../support/service.ts';

function adjust(service: TestService, id: number, delta: number, headers: Record<string, string> = {}) {
  const body = { delta, reason: 'counted' };
  return service.call('POST', `/products/${id}/stock-adjustments`, body, headers);
}

async function read(service: TestService, id: number) {
  return (await service.call('GET', `/products/${id}`)).body;
}

test('200 adjustments of +1, 40 at a time at two instances, give +200, and every answer is another stock', async () => {
  const service = await useRacingService({ poolSize: 5 });
  const other = await useRacingService({ database: service.database, poolSize: 5 });
  const { id } = await service.createProduct({ stock: 7 });
  const answers = await together(200, (n) => adjust(n % 2 === 0 ? service : other, id, 1), 40);
  expect(tally(answers)).toEqual({ 201: 200 });
  expect(await read(service, id)).toMatchObject({ stock: 207, on_hand: 207, version: 201 });
  const stocks = answers.map(({ body }) => body.stock).toSorted((a, b) => a - b);
  expect(stocks).toEqual(Array.from({ length: 200 }, (_, index) => 8 + index));
  for (const { body } of answers) expect(body.movement.on_hand_after).toBe(body.stock);
  await expectStockAddsUp(service.database);
  await expectNoDrift(service);
});

test('60 buyers of 1 and 60 adjustments of -1 race for 50 pieces: exactly 50 get one, stock ends at 0', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 50 });
  const answers = await together(120, (n) =>
    n % 2 === 0 ? service.call('POST', '/orders', { product_id: id, quantity: 1 }) : adjust(service, id, -1),
  );
  expect(tally(answers)).toEqual({ 201: 50, 409: 70 });
  const bought = answers.filter(({ status }, n) => n % 2 === 0 && status === 201).length;
  expect(await read(service, id)).toMatchObject({ stock: 0, reserved: bought, on_hand: bought });
  await expectStockAddsUp(service.database);
});

test('20 rounds of 10 adjustments with one If-Match: exactly one wins, 9 get 412', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 0 });
  for (let round = 1; round <= 20; round++) {
    const answers = await together(10, () => adjust(service, id, 1, { 'if-match': `"${round}"` }));
    expect(tally(answers)).toEqual({ 201: 1, 412: 9 });
  }
  expect((await read(service, id)).stock).toBe(20);
});

test('60 callers adjust by +5 with one key: one movement, 60 equal answers', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 0 });
  const key = { 'idempotency-key': 'one' };
  const answers = await together(60, () => adjust(service, id, 5, key));
  expect(tally(answers)).toEqual({ 201: 60 });
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(59);
  expect(await read(service, id)).toMatchObject({ stock: 5, version: 2 });
});

/** Buys, and cancels, ships, edits or adjusts what it comes across. */
async function trade(service: TestService, ids: readonly number[], n: number): Promise<void> {
  const [first = 0, second = 0] = [ids[n % ids.length], ids[(n + 1) % ids.length]];
  const items = [first, second].map((product_id) => ({ product_id, quantity: 1 + (n % 3) }));
  const order = await service.call('POST', '/orders', { items });
  if (n % 2 === 0) await adjust(service, first, n % 3 === 0 ? 9 : -1);
  if (n % 5 === 0) await service.call('PATCH', `/products/${second}`, { stock: 30, sku: `R-${second}-${n}` });
  if (order.status !== 201) return;
  const url = `/orders/${order.body.id}`;
  if (n % 4 === 0) await service.call('DELETE', url);
  if (n % 4 === 1) await service.pay({ event_type: 'payment.failed', order_id: order.body.id });
  if (n % 4 === 2) for (const status of ['PAID', 'SHIPPED']) await service.call('PUT', url, { status });
}

test('audits and explanations while 400 traders buy, cancel, ship, edit, rename and adjust: never any drift', async () => {
  const service = await useRacingService();
  const ids: number[] = [];
  for (let n = 0; n < 5; n++) ids.push((await service.createProduct({ stock: 50 })).id);
  const state = { trading: true };
  const trading = together(400, (n) => trade(service, ids, n), 12).finally(() => {
    state.trading = false;
  });
  const moments: { id: number | undefined; at: string }[] = [];
  try {
    while (state.trading) {
      await expectNoDrift(service);
      const id = ids[moments.length % ids.length];
      const { body } = await service.call('GET', `/products/${id}/stock/explain`);
      expect(body).toMatchObject({ matches: true });
      moments.push({ id, at: body.as_of });
    }
  } finally {
    await trading;
  }
  const [count] = await service.database.query<{ movements: number }>(
    'select count(*)::int as movements from stock_movements',
  );
  expect(count?.movements).toBeGreaterThan(400);
  expect(moments.length).toBeGreaterThan(20);
  // Whatever the moment, in the thick of it: a state that the counters really had.
  for (const { id, at } of moments.slice(0, 100)) {
    const { body } = await service.call('GET', `/products/${id}/stock/explain?as_of=${at}`);
    expect(body).toMatchObject({ as_of: at, matches: true });
    expect(Math.min(body.stock, body.reserved.total)).toBeGreaterThanOrEqual(0);
  }
  await expectStockAddsUp(service.database);
});

interface Recorded {
  at: string;
  onHand: number;
  reserved: number;
  held: [orderId: number, quantity: number][];
}

/** The counters and open orders of a product, and a time that lies between what was done before and what comes next. */
async function record({ database }: TestService, id: number): Promise<Recorded> {
  // The times of movements are rounded to the millisecond, so the clock must move on before and after.
  const [row] = await database.query<Recorded & { at: Date }>(
    `select pg_sleep(0.002), date_trunc('milliseconds', clock_timestamp()) as at, pg_sleep(0.002),
            on_hand::int as "onHand", reserved::int as reserved,
            (select coalesce(json_agg(json_build_array(o.id, i.quantity) order by o.id desc), '[]')
               from orders o join order_items i on i.order_id = o.id
              where i.product_id = $1 and o.status in ('PENDING', 'PAID')) as held
       from products where id = $1`,
    [id],
  );
  if (row === undefined) throw new Error('the product is gone');
  return { ...row, at: row.at.toISOString() };
}

const steps = fc.oneof(
  fc.record({ step: fc.constant('adjust' as const), by: fc.integer({ min: -6, max: 9 }) }),
  fc.record({ step: fc.constant('set' as const), by: fc.nat(20) }),
  fc.record({ step: fc.constant('order' as const), by: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ step: fc.constantFrom('PAID', 'SHIPPED', 'CANCELED'), by: fc.nat(20) }),
);

async function take(
  service: TestService,
  id: number,
  orders: number[],
  { step, by }: { step: string; by: number },
): Promise<void> {
  if (step === 'adjust') await adjust(service, id, by);
  else if (step === 'set') await service.call('PATCH', `/products/${id}`, { stock: by });
  else if (step === 'order') {
    const { status, body } = await service.call('POST', '/orders', { product_id: id, quantity: by });
    if (status === 201) orders.push(body.id);
  } else if (orders.length > 0) {
    await service.call('PUT', `/orders/${orders[by % orders.length]}`, { status: step });
  }
}

test('30 random lives of up to 25 steps: as of every moment between them, the ledger explains the counters and orders of then', async () => {
  const service = await useRacingService();
  let explained = 0;
  const property = fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 25 }), async (life) => {
    const { id } = await service.createProduct({ stock: 12 });
    const orders: number[] = [];
    const recorded = [await record(service, id)];
    for (const step of life) {
      await take(service, id, orders, step);
      recorded.push(await record(service, id));
    }
    for (const { at, onHand, reserved, held } of recorded) {
      const { body } = await service.call('GET', `/products/${id}/stock/explain?as_of=${at}`);
      expect(body).toMatchObject({
        as_of: at,
        on_hand: { total: onHand },
        reserved: { total: reserved, orders: held.map(([order_id, quantity]) => ({ order_id, quantity })) },
        stock: onHand - reserved,
        stored: { on_hand: onHand, reserved },
        matches: true,
      });
      explained++;
    }
  });
  await fc.assert(property, { numRuns: 30, interruptAfterTimeLimit: 50_000, markInterruptAsFailure: true });
  expect(explained).toBeGreaterThan(60);
  await expectNoDrift(service);
});
