import { expect, test } from 'vitest';

import { connectForeign } from '../support/baskets.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { together } from '../support/race.ts';
import { useTestService } from '../support/service.ts';

// In a file of its own because it holds for one instance: at two, both wait for the product, and the events of one may
// find an order that the other holds meanwhile; they get 503, too, and their provider tries again.
test('another transaction holds a product past lock_timeout: only the failed payments that need it get 503', async () => {
  const service = await useTestService();
  const held = (await service.createProduct({ stock: 30 })).id;
  const free = (await service.createProduct({ stock: 30 })).id;
  const needy = await together(20, () => service.placeOrder(held, 1));
  const others = await together(20, () => service.placeOrder(free, 1));
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from products where id = $1 for update', [held]);
  const fail = (orderId: number) => service.pay({ event_type: 'payment.failed', order_id: orderId });
  // In turn, so that events that need the product share their transactions with events that do not; and a second event
  // of each order, which has to wait for the first.
  const pairs = await Promise.all(
    needy.flatMap(({ id }, index) => [id, others[index]?.id ?? 0]).flatMap((id) => [fail(id), fail(id)]),
  );
  const statuses = pairs.map(({ status }) => status);
  expect(statuses.filter((_, index) => index % 4 < 2)).toEqual(Array(40).fill(503));
  expect(statuses.filter((_, index) => index % 4 >= 2)).toEqual(Array(40).fill(200));
  await foreign.query('rollback');
  for (const { id } of needy) expect((await fail(id)).status).toBe(200);
  await expectStockAddsUp(service.database);
});
