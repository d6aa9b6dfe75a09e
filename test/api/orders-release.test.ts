import { describe, expect, test } from 'vitest';

import { tamper } from '../support/audits.ts';
import { copies, ordersByTransaction, place, placeAtOnce } from '../support/baskets.ts';
import { expiredBy, placeOverdue, stockOf, sweep, useExpiringService } from '../support/expiry.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { eventsOf, observeStatements } from '../support/race.ts';
import { useSharedService } from '../support/service.ts';

/*
 * No sweep runs here: what an order finds, it finds by itself.
 */
const service = useSharedService({ orderTtlMinutes: 15 });

function order(...items: [productId: number, quantity: number][]) {
  const body = { items: items.map(([product_id, quantity]) => ({ product_id, quantity })) };
  return service.call('POST', '/orders', body);
}

async function versionOf(id: number): Promise<number> {
  return (await service.call('GET', `/products/${id}`)).body.version;
}

describe('expired stock sells at once', () => {
  test('5 pieces that an overdue order holds: an order of 3 is placed and the overdue one is expired, in one transaction', async () => {
    const { id } = await service.createProduct({ stock: 5 });
    const [overdue = 0] = await placeOverdue(service, 1, [id, 5]);
    const { status, body: placed } = await order([id, 3]);
    expect([status, placed.status]).toEqual([201, 'PENDING']);
    expect(await eventsOf(service, overdue)).toEqual(['order.created 1', 'order.expired 2']);
    expect(await stockOf(service, id)).toEqual({ stock: 2, reserved: 3, on_hand: 5 });
    const transactions = await service.database.query(
      `select distinct transaction_id from events
        where (aggregate_id = $1 and type = 'order.expired') or (aggregate_id = $2 and type = 'order.created')`,
      [overdue, placed.id],
    );
    expect(transactions).toHaveLength(1);
    // Created, reserved by the first, released and reserved again: one transaction raises it once.
    expect(await versionOf(id)).toBe(3);
    const ledger = await service.database.query(
      'select kind, delta::int, reserved_after::int as after from stock_movements where product_id = $1 order by id',
      [id],
    );
    expect(ledger.slice(2)).toEqual([
      { kind: 'released', delta: -5, after: 0 },
      { kind: 'reserved', delta: 3, after: 3 },
    ]);
    await expectStockAddsUp(service.database);
  });

  test('a basket of 2 products that 2 overdue baskets hold together with a third: all 3 products are released', async () => {
    const [a, b, c] = await Promise.all([5, 5, 5].map((stock) => service.createProduct({ stock })));
    const [idA = 0, idB = 0, idC = 0] = [a?.id, b?.id, c?.id];
    await placeOverdue(service, 1, [idA, 5], [idC, 1]);
    await placeOverdue(service, 1, [idC, 2], [idB, 4]);
    expect((await order([idB, 5], [idA, 1])).status).toBe(201);
    expect(await stockOf(service, idA)).toEqual({ stock: 4, reserved: 1, on_hand: 5 });
    expect(await stockOf(service, idB)).toEqual({ stock: 0, reserved: 5, on_hand: 5 });
    expect(await stockOf(service, idC)).toEqual({ stock: 5, reserved: 0, on_hand: 5 });
    // C: created, reserved twice, released twice by one transaction.
    expect(await versionOf(idC)).toBe(4);
    await expectStockAddsUp(service.database);
  });

  test('too little even so: 409 with what is there now, and what was overdue is expired nevertheless', async () => {
    const { id } = await service.createProduct({ stock: 5 });
    await placeOverdue(service, 2, [id, 1]);
    const short = await order([id, 6]);
    expect(short).toBeProblem(409, 'insufficient_stock', 'Insufficient stock. Available: 5, Requested: 6');
    expect(short.body.shortages).toEqual([{ product_id: id, available: 5, requested: 6 }]);
    expect(await stockOf(service, id)).toEqual({ stock: 5, reserved: 0, on_hand: 5 });
    await expectStockAddsUp(service.database);
  });

  test('only as far as it is needed: overdue orders of other products stay for the sweep', async () => {
    const { id } = await service.createProduct({ stock: 5 });
    const { id: other } = await service.createProduct({ stock: 5 });
    await placeOverdue(service, 1, [id, 5]);
    await placeOverdue(service, 1, [other, 5]);
    expect((await order([id, 1])).status).toBe(201);
    expect((await stockOf(service, other)).reserved).toBe(5);
    expect(await sweep(service)).toBe(1);
  });

  test('orders that still have time, and orders that were paid, hold what they hold', async () => {
    const { id } = await service.createProduct({ stock: 5 });
    const paid = await service.placeOrder(id, 2);
    await service.call('PUT', `/orders/${paid.id}`, { status: 'PAID' });
    await service.placeOrder(id, 3);
    expect((await order([id, 1])).body.shortages).toEqual([{ product_id: id, available: 0, requested: 1 }]);
    await expectStockAddsUp(service.database);
  });

  test('an order of 250 pieces that 250 overdue orders hold is placed, though one transaction takes 100 of them', async () => {
    const { id } = await service.createProduct({ stock: 250 });
    await placeOverdue(service, 250, [id, 1]);
    const before = await expiredBy(service);
    expect((await order([id, 250])).status).toBe(201);
    expect((await expiredBy(service))['order']).toBe((before['order'] ?? 0) + 250);
    expect(await stockOf(service, id)).toEqual({ stock: 0, reserved: 250, on_hand: 250 });
    await expectStockAddsUp(service.database);
  });

  test('a refused key is tried again with success as soon as the stock is overdue', async () => {
    const { id } = await service.createProduct({ stock: 1 });
    const first = await service.placeOrder(id, 1);
    const again = () => place(service, { items: [[id, 1]], key: 'again' });
    expect(await again()).toMatchObject({ refused: 'insufficient_stock' });
    await tamper(service.database, `update orders set expires_at = now() where id = ${first.id}`);
    const fate = await again();
    expect(fate).toEqual({ placed: expect.any(Number) });
    expect(await again()).toEqual({ replayed: Object.values(fate)[0] });
  });
});

describe('a preview', () => {
  test('counts what is overdue as sellable, and changes nothing', async () => {
    const { id } = await service.createProduct({ stock: 5 });
    const [overdue = 0] = await placeOverdue(service, 1, [id, 4]);
    const preview = (quantity: number) =>
      service.call('POST', '/orders?dry_run=true', { product_id: id, quantity });
    expect((await preview(5)).status).toBe(200);
    expect((await preview(6)).body.shortages).toEqual([{ product_id: id, available: 5, requested: 6 }]);
    expect(await eventsOf(service, overdue)).toEqual(['order.created 1']);
    expect((await stockOf(service, id)).reserved).toBe(4);
  });
});

/** The statements that a call sends. */
async function statementsOf(call: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  observeStatements(service, ({ text }) => texts.push(text));
  await call();
  return texts;
}

describe('what it costs', () => {
  test('nothing where nothing is short, and one statement for a batch of 20 buyers of a product that is sold out', async () => {
    // One piece is left: a product that runs out costs one more statement, for the event that says so.
    const { id } = await service.createProduct({ stock: 21 });
    const soldOut = await service.createProduct({ stock: 0 });
    const good = await statementsOf(() => placeAtOnce(service, copies(20, id)));
    expect(good.filter((text) => text.includes('expires_at <='))).toEqual([]);
    expect(good).toHaveLength(4);
    const refused = await statementsOf(() => placeAtOnce(service, copies(20, soldOut.id)));
    expect(refused.filter((text) => text.includes('expires_at <='))).toHaveLength(1);
    expect(refused).toHaveLength(4);
  });
});

test('1 piece is free and 6 are overdue: of one batch of buyers of 3, 4 and 1, the first two win, in the order of arrival', async () => {
  const own = await useExpiringService();
  const { id } = await own.createProduct({ stock: 7 });
  await placeOverdue(own, 3, [id, 2]);
  const before = (await ordersByTransaction(own.database)).length;
  const fates = await placeAtOnce(own, [{ items: [[id, 3]] }, { items: [[id, 4]] }, { items: [[id, 1]] }]);
  // Without what is overdue, the third alone would have found its piece.
  expect(fates).toMatchObject([
    { placed: expect.any(Number) },
    { placed: expect.any(Number) },
    { refused: 'insufficient_stock' },
  ]);
  expect((await ordersByTransaction(own.database)).length).toBe(before + 1);
  await expectStockAddsUp(own.database);
});
