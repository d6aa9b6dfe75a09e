import { expect, test } from 'vitest';

import {
  type Basket,
  busy,
  copies,
  ordersByTransaction,
  place,
  placeAtOnce,
  placed,
  refused,
} from '../support/baskets.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { useTestService } from '../support/service.ts';

test('17 orders of one batch: 6 are placed in 1 transaction, 2 replayed, 9 refused, each for a reason of its own', async () => {
  const service = await useTestService();
  const much = (await service.createProduct({ stock: 100 })).id;
  const last = (await service.createProduct({ stock: 2 })).id;
  const inactive = (await service.createProduct({ active: false })).id;
  const unknown = 999_999;
  const before = await place(service, { items: [[much, 1]], key: 'used' });
  expect(before).toEqual(placed);

  const fates = await placeAtOnce(service, [
    { items: [[much, 1]] },
    { items: [[much, 1000]] },
    { items: [[unknown, 1]] },
    { items: [[inactive, 1]] },
    {
      items: [
        [much, 1],
        [unknown, 1],
      ],
    },
    { items: [[much, 2]], key: 'used' },
    { items: [[much, 1]], key: 'used' },
    { items: [[much, 2]], key: 'twice' },
    { items: [[much, 2]], key: 'twice' },
    { items: [[much, 3]], key: 'twice' },
    { items: [[much, 1000]], key: 'refused first' },
    { items: [[much, 3]], key: 'refused first' },
    { items: [[last, 1]] },
    { items: [[last, 1]] },
    { items: [[last, 1]] },
    {
      items: [
        [much, 1],
        [last, 1],
      ],
    },
    { items: [[much, 4]] },
  ]);

  expect(fates).toEqual([
    placed,
    // 100 less the one before and the one of this batch.
    refused('insufficient_stock', 'Insufficient stock. Available: 98, Requested: 1000'),
    refused('product_not_found'),
    refused('product_inactive'),
    refused('product_not_found'),
    refused('idempotency_key_reused'),
    { replayed: (before as { placed: number }).placed },
    placed,
    { replayed: (fates[7] as { placed: number }).placed },
    refused('idempotency_key_reused'),
    refused('insufficient_stock', 'Insufficient stock. Available: 96, Requested: 1000'),
    placed,
    placed,
    placed,
    refused('insufficient_stock', 'Insufficient stock. Available: 0, Requested: 1'),
    refused('insufficient_stock', 'Insufficient stock. Available: 0, Requested: 1'),
    placed,
  ]);
  expect(await ordersByTransaction(service.database)).toEqual([1, 6]);
  const products = await service.call('GET', '/products?sort=id');
  expect(products.body).toMatchObject([
    { stock: 89, reserved: 11, version: 3 },
    { stock: 0, reserved: 2, version: 2 },
    { version: 1 },
  ]);
  await expectStockAddsUp(service.database);
});

test('1,000 orders of one tick for 650 pieces: the first 650 are placed, in order, by 7 transactions of at most 100', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 650 });
  const fates = await placeAtOnce(service, copies(1000, id));
  expect(fates.slice(0, 650)).toEqual(Array(650).fill(placed));
  expect(new Set(fates.slice(650).map((fate) => 'refused' in fate && fate.refused))).toEqual(
    new Set(['insufficient_stock']),
  );
  const ids = fates.slice(0, 650).map((fate) => (fate as { placed: number }).placed);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(await ordersByTransaction(service.database)).toEqual([100, 100, 100, 100, 100, 100, 50]);
  await expectStockAddsUp(service.database);
});

test('the database refuses 3 of the 20 orders of a batch, for a reason nobody foresaw: the other 17 are placed', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 18 });
  await service.database.query(
    "alter table orders add constraint nobody_foresaw check (customer_email <> 'guilty@example.com')",
  );
  const guilty = new Set([0, 7, 19]);
  const fates = await placeAtOnce(
    service,
    Array.from({ length: 20 }, (_, n) => ({
      items: [[id, 1]],
      key: `order ${n}`,
      ...(guilty.has(n) ? { email: 'guilty@example.com' } : {}),
    })),
  );
  const blank = refused('internal_error', 'The order cannot be stored');
  expect(fates).toEqual(fates.map((_, n) => (guilty.has(n) ? blank : placed)));
  const keys = await service.database.query('select key from idempotency_keys');
  expect(keys).toHaveLength(17);
  await expectStockAddsUp(service.database);
});

test('one half of a batch is stored and the other half loses its connection each time: only that half hears 503', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  await service.database.query(
    "alter table orders add constraint nobody_foresaw check (customer_email <> 'guilty@example.com')",
  );
  await service.database.query(`
    create function end_connection() returns trigger language plpgsql as $$
    begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$`);
  await service.database.query(`
    create trigger end_connection before insert on orders for each row
    when (new.customer_email = 'deadly@example.com') execute function end_connection()`);
  const emails = ['a', 'guilty', 'b', 'deadly'];
  const baskets = emails.map((name): Basket => ({ items: [[id, 1]], email: `${name}@example.com` }));
  expect(await placeAtOnce(service, baskets)).toEqual([placed, refused('internal_error'), busy, busy]);
  expect(await service.database.query('select customer_email from orders')).toEqual([
    { customer_email: 'a@example.com' },
  ]);
  expect(await place(service, { items: [[id, 1]] })).toEqual(placed);
  await expectStockAddsUp(service.database);
});

test('5,200 orders of one tick: 200 find the queue full and get 503 with Retry-After at once, 5,000 are placed', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 5200 });
  const answered: ('refused' | 'placed')[] = [];
  const fates = await Promise.all(
    Array.from({ length: 5200 }, async () => {
      const fate = await place(service, { items: [[id, 1]] });
      answered.push('refused' in fate ? 'refused' : 'placed');
      return fate;
    }),
  );
  expect(answered.slice(0, 200)).toEqual(Array(200).fill('refused'));
  expect(fates.slice(5000)).toEqual(
    Array.from({ length: 200 }, () => ({ ...busy, detail: 'Too many requests are waiting, try again' })),
  );
  expect(fates.slice(0, 5000)).toEqual(Array(5000).fill(placed));
  expect(await ordersByTransaction(service.database)).toEqual(Array(50).fill(100));
  await expectStockAddsUp(service.database);
});

test('a stop while 250 orders wait: all 250 are placed, and what comes after gets 503', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 300 });
  const placing = placeAtOnce(service, copies(250, id));
  const stopping = service.services.stop();
  expect(await place(service, { items: [[id, 1]] })).toEqual(busy);
  await stopping;
  expect(await placing).toEqual(Array(250).fill(placed));
  expect((await service.call('GET', `/products/${id}`)).status).toBe(503);
  await expectStockAddsUp(service.database);
});
