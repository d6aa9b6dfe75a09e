import { expect, test } from 'vitest';

import { fingerprintOf } from '../../src/idempotency/fingerprint.ts';
import {
  type Basket,
  busy,
  connectForeign,
  copies,
  ordersByTransaction,
  place,
  placeAtOnce,
  placed,
  refused,
  setForDatabase,
  waitingForLock,
} from '../support/baskets.ts';
import { useTestDatabase } from '../support/database.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { useTestService } from '../support/service.ts';

test('a batch that is the victim of a deadlock is tried again: its 3 orders are placed', async () => {
  const database = await useTestDatabase();
  // Below lock_timeout, which would end the wait first; the foreign transaction leaves it to the batch to notice.
  await setForDatabase(database, 'deadlock_timeout', "'400ms'");
  const service = await useTestService({ database });
  const first = (await service.createProduct()).id;
  const second = (await service.createProduct()).id;
  const foreign = await connectForeign(database);
  await foreign.query("begin; set local deadlock_timeout to '10s'");
  await foreign.query('select from products where id = $1 for update', [second]);
  const placing = placeAtOnce(service, [
    { items: [[first, 1]] },
    { items: [[second, 1]] },
    { items: [[second, 1]] },
  ]);
  await expect.poll(() => waitingForLock(database), { interval: 5 }).toBe(1);
  await foreign.query('select from products where id = $1 for update', [first]);
  await foreign.query('commit');
  expect(await placing).toEqual([placed, placed, placed]);
  expect(await ordersByTransaction(database)).toEqual([3]);
  await expectStockAddsUp(database);
});

test('a batch that meets a serialization failure is tried again: its 3 orders are placed', async () => {
  const database = await useTestDatabase();
  await setForDatabase(database, 'default_transaction_isolation', "'repeatable read'");
  const service = await useTestService({ database });
  const { id } = await service.createProduct();
  const foreign = await connectForeign(database);
  await foreign.query('begin');
  await foreign.query("update products set name = 'Renamed', version = version + 1 where id = $1", [id]);
  const placing = placeAtOnce(service, copies(3, id));
  await expect.poll(() => waitingForLock(database), { interval: 5 }).toBe(1);
  await foreign.query('commit');
  expect(await placing).toEqual([placed, placed, placed]);
  expect((await service.call('GET', `/products/${id}`)).body).toMatchObject({ name: 'Renamed', version: 3 });
  await expectStockAddsUp(database);
});

test('somebody holds a product for longer than a batch may wait: its 3 orders get 503, the other 3 are placed', async () => {
  const service = await useTestService();
  const held = (await service.createProduct()).id;
  const free = (await service.createProduct()).id;
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from products where id = $1 for update', [held]);
  const both: Basket = {
    items: [
      [free, 1],
      [held, 1],
    ],
  };
  const keyed: Basket = { items: [[held, 1]], key: 'again' };
  const one: Basket = { items: [[free, 1]] };
  const fates = await placeAtOnce(service, [one, { items: [[held, 1]] }, keyed, both, one, one]);
  expect(fates).toEqual([placed, busy, busy, busy, placed, placed]);
  await foreign.query('commit');
  expect(await place(service, keyed)).toEqual(placed);
  await expectStockAddsUp(service.database);
});

test('somebody holds a key for longer than a batch may wait: its order gets 409, the other 3 are placed', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query("insert into idempotency_keys (scope, key, fingerprint) values ('', 'held', '')");
  const keyed: Basket = { items: [[id, 1]], key: 'held' };
  const fates = await placeAtOnce(service, [
    { items: [[id, 1]] },
    keyed,
    { items: [[id, 1]] },
    { items: [[id, 1]], key: 'free' },
  ]);
  const inProgress = { refused: 'idempotency_key_in_progress', detail: expect.any(String), retryAfter: '1' };
  expect(fates).toEqual([placed, inProgress, placed, placed]);
  await foreign.query('rollback');
  expect(await place(service, keyed)).toEqual(placed);
  await expectStockAddsUp(service.database);
});

test('somebody stores 2 keys while their orders wait for them: the same command is replayed, the other one gets 409', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  const order = { items: [{ productId: id, quantity: 1 }], customerEmail: 'a@example.com' };
  for (const [key, command, fate] of [
    ['same', order, { replayed: 77 }],
    ['other', 'another command', refused('idempotency_key_reused')],
  ] as const) {
    const foreign = await connectForeign(service.database);
    await foreign.query('begin');
    await foreign.query(
      `insert into idempotency_keys (scope, key, fingerprint, status, response) values ('', $1, $2, 201, '{"id":77}')`,
      [key, fingerprintOf('POST', '/orders', command)],
    );
    const placing = place(service, { items: [[id, 1]], key });
    await expect.poll(() => waitingForLock(service.database), { interval: 5 }).toBe(1);
    await foreign.query('commit');
    expect(await placing).toEqual(fate);
  }
  expect(await service.database.query('select from orders')).toEqual([]);
  await expectStockAddsUp(service.database);
});

test('60 keys at two instances at the same moment: 30 with one command give 30 orders, 30 with two give 30 and 30 refusals', async () => {
  const one = await useTestService();
  const two = await useTestService({ database: one.database });
  const a = (await one.createProduct({ stock: 100 })).id;
  const b = (await one.createProduct({ stock: 100 })).id;
  // Different products, so that no lock but the key's own stands between the two.
  const baskets = (product: number) =>
    Array.from({ length: 60 }, (_, n): Basket => ({ items: [[n < 30 ? a : product, 1]], key: `key ${n}` }));
  const [left, right] = await Promise.all([placeAtOnce(one, baskets(a)), placeAtOnce(two, baskets(b))]);
  for (const [n, fate] of left.entries()) {
    const id = [fate, right[n]].flatMap((each) => (each && 'placed' in each ? [each.placed] : []))[0];
    const other = n < 30 ? { replayed: id } : refused('idempotency_key_reused');
    expect([fate, right[n]]).toEqual(expect.arrayContaining([{ placed: id }, other]));
  }
  expect(await one.database.query('select from orders')).toHaveLength(60);
  await expectStockAddsUp(one.database);
});
