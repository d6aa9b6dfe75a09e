import { setTimeout as sleep } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together, useRacingService } from '../support/race.ts';

test('20 rounds of 5 parallel PATCHes of different fields: all five edits survive', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct();
  for (let round = 1; round <= 20; round++) {
    const edits = [
      { name: `Name ${round}` },
      { price: round },
      { description: `Description ${round}` },
      { stock: 100 + round },
      { active: round % 2 === 0 },
    ];
    const answers = await Promise.all(edits.map((edit) => service.call('PATCH', `/products/${id}`, edit)));
    expect(tally(answers)).toEqual({ 200: 5 });
    const { body } = await service.call('GET', `/products/${id}`);
    expect(body).toMatchObject(Object.assign({}, ...edits));
  }
  await expectStockAddsUp(service.database);
});

test('20 rounds of 10 parallel PATCHes with one If-Match: exactly one wins, 9 get 412 with its outcome', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct();
  for (let round = 1; round <= 20; round++) {
    const answers = await together(10, (caller) =>
      service.call(
        'PATCH',
        `/products/${id}`,
        { name: `Round ${round}, caller ${caller}` },
        { 'if-match': `"${round}"` },
      ),
    );
    expect(tally(answers)).toEqual({ 200: 1, 412: 9 });
    const winner = answers.find(({ status }) => status === 200);
    const stale = answers.filter(({ status }) => status === 412).map(({ body }) => body.current);
    expect(stale).toEqual(Array.from({ length: 9 }, () => winner?.body));
  }
  await expectStockAddsUp(service.database);
});

test('stock is set 40 times while 120 orders and 40 cancels run: what was set, sold and given back adds up', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 50 });
  const [set, bought] = await Promise.all([
    together(40, (n) => service.call('PATCH', `/products/${id}`, { stock: 40 + (n % 7) })),
    together(120, async (n) => {
      const order = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
      return n % 3 === 0 && order.status === 201 ? service.call('DELETE', `/orders/${order.body.id}`) : order;
    }),
  ]);
  expect(tally(set)).toEqual({ 200: 40 });
  // Each answer shows what it set, whatever was sold before and after it.
  expect(set.map(({ body }) => body.stock)).toEqual(Array.from({ length: 40 }, (_, n) => 40 + (n % 7)));
  const { 201: kept = 0, 204: canceled = 0, 409: refused = 0 } = tally(bought);
  expect(kept + canceled + refused).toBe(120);
  const { body } = await service.call('GET', `/products/${id}`);
  expect(body.reserved).toBe(kept);
  await expectStockAddsUp(service.database);
});

test('80 products are deleted while they get their first order: 204 and 404, or 400 and 201, never both gone', async () => {
  const service = await useRacingService();
  const endings: string[] = [];
  // Five at a time, with the DELETE a little later each round: it has no body to read, so it would always be first. The
  // first rounds and the last are far apart, for services in processes whose answers take longer than turns.
  for (let turns = 0; turns < 16; turns++) {
    const ended = await together(5, async () => {
      const { id } = await service.createProduct({ stock: 1 });
      const [removed, bought] = await Promise.all([
        afterTurns(turns, turns - 11).then(() => service.call('DELETE', `/products/${id}`)),
        afterTurns(0, 4 - turns).then(() => service.call('POST', '/orders', { product_id: id, quantity: 1 })),
      ]);
      return `${removed.status} ${bought.status}`;
    });
    endings.push(...ended);
  }
  expect(new Set(endings)).toEqual(new Set(['204 404', '400 201']));
  const left = await service.database.query('select from products');
  expect(left).toHaveLength(endings.filter((ending) => ending === '400 201').length);
  await expectStockAddsUp(service.database);
});

/** Lets the event loop turn so many times, and then waits, if there is anything to wait for. */
async function afterTurns(count: number, waitMs: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
  if (waitMs > 0) await sleep(waitMs);
}

test('30 callers create one SKU: one gets 201, 29 get 409', async () => {
  const service = await useRacingService();
  const answers = await together(30, () =>
    service.call('POST', '/products', { sku: 'SAME', name: 'Same', price: 1, stock: 1 }),
  );
  expect(tally(answers)).toEqual({ 201: 1, 409: 29 });
  await expectStockAddsUp(service.database);
});

test('a product is renamed 20 times while 60 orders are placed and canceled: the ledger does not drift', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 60 });
  const [renames, cancels] = await Promise.all([
    together(20, (n) => service.call('PATCH', `/products/${id}`, { sku: `NAME-${n}` })),
    together(60, async () => {
      const order = await service.placeOrder(id, 1);
      return service.call('DELETE', `/orders/${order.id}`);
    }),
  ]);
  expect([tally(renames), tally(cancels)]).toEqual([{ 200: 20 }, { 204: 60 }]);
  const { body } = await service.call('GET', `/products/${id}`);
  expect(body).toMatchObject({ stock: 60, reserved: 0, on_hand: 60 });
  await expectStockAddsUp(service.database);
});
