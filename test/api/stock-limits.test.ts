import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sweepOverdueOrders } from '../../src/orders/expiry/expiry.service.ts';
import { expectNoDrift, tamper } from '../support/audits.ts';
import '../support/problems.ts';
import { type TestService, useSharedService } from '../support/service.ts';

/* No way leads past 1,000,000,000 pieces of a product, so whatever a product shows can be written back. */

const MAX = 1_000_000_000;

const service = useSharedService();

test('all of 1,000,000,000 are reserved: no more can be set or added; canceled, they are 1,000,000,000 again', async () => {
  const { id } = await service.createProduct({ price: 0.01, stock: MAX });
  const order = await service.placeOrder(id, MAX);
  const full = '2000000000 would be on hand, of which orders hold 1000000000; 1000000000 may be at most';
  const set = await service.call('PATCH', `/products/${id}`, { stock: MAX, name: 'Two' });
  expect(set).toBeProblem(422, 'stock_out_of_range', full);
  const put = await service.call('PUT', `/products/${id}`, { stock: 1 });
  expect(put).toBeProblem(422, 'stock_out_of_range');
  const added = await service.call('POST', `/products/${id}/stock-adjustments`, { delta: MAX, reason: 'x' });
  expect(added).toBeProblem(422, 'stock_out_of_range', full);
  await service.call('DELETE', `/orders/${order.id}`);
  const { body } = await service.call('GET', `/products/${id}`);
  expect(body).toMatchObject({ name: 'A thing', stock: MAX, reserved: 0, on_hand: MAX });
  expect((await service.call('PATCH', `/products/${id}`, { stock: body.stock })).status).toBe(200);
});

/** Near the ends, where something can go wrong, and now and then anywhere. */
const quantities = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(1, MAX / 2, MAX - 1, MAX) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: MAX }) },
);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      way: fc.constantFrom('set', 'add', 'take', 'order', 'overdue'),
      quantity: quantities,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ way: fc.constantFrom('cancel', 'ship', 'sweep'), quantity: fc.constant(0) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** The newest order of a product in one of the states. */
async function orderIn(productId: number, ...states: string[]): Promise<number | undefined> {
  const { body } = await service.call('GET', `/orders?product_id=${productId}`);
  return body.find(({ status }: { status: string }) => states.includes(status))?.id;
}

async function call(...request: Parameters<TestService['call']>): Promise<number> {
  return (await service.call(...request)).status;
}

/** @returns the statuses of the calls that it takes */
async function take({ way, quantity }: Step, id: number): Promise<number[]> {
  switch (way) {
    case 'set':
      return [await call('PATCH', `/products/${id}`, { stock: quantity })];
    case 'add':
    case 'take': {
      const delta = way === 'add' ? quantity : -quantity;
      return [await call('POST', `/products/${id}/stock-adjustments`, { delta, reason: way })];
    }
    case 'order':
    case 'overdue': {
      const status = await call('POST', '/orders', { product_id: id, quantity });
      if (way === 'overdue' && status === 201) {
        const order = await orderIn(id, 'PENDING');
        await tamper(
          service.database,
          `update orders set expires_at = now() - interval '1 s' where id = ${order}`,
        );
      }
      return [status];
    }
    case 'cancel': {
      const order = await orderIn(id, 'PENDING', 'PAID');
      return order === undefined ? [] : [await call('DELETE', `/orders/${order}`)];
    }
    case 'ship': {
      const order = await orderIn(id, 'PENDING', 'PAID');
      const steps = order === undefined ? [] : ['PAID', 'SHIPPED'];
      const statuses: number[] = [];
      for (const status of steps) statuses.push(await call('PUT', `/orders/${order}`, { status }));
      return statuses;
    }
    case 'sweep':
    default:
      await sweepOverdueOrders(service.own.db, service.services.metrics);
      return [];
  }
}

test('whatever is set, added, taken, ordered, shipped, canceled or expired: never past the limit, and never a 5xx', async () => {
  await fc.assert(
    fc.asyncProperty(quantities, fc.array(step, { minLength: 3, maxLength: 10 }), async (stock, steps) => {
      const { id } = await service.createProduct({ price: 0.01, stock });
      for (const next of steps) {
        for (const status of await take(next, id)) expect(status).toBeLessThan(500);
        const { body } = await service.call('GET', `/products/${id}`);
        expect(body.on_hand).toBeLessThanOrEqual(MAX);
        expect(body.stock).toBeGreaterThanOrEqual(0);
        expect(body.reserved).toBeGreaterThanOrEqual(0);
        expect(body.stock).toBe(body.on_hand - body.reserved);
        const written = await service.call('PATCH', `/products/${id}`, { stock: body.stock });
        expect([written.status, written.body.version]).toEqual([200, body.version]);
      }
    }),
    { numRuns: 30 },
  );
  await expectNoDrift(service);
});
