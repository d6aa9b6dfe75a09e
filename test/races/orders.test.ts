import { expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import { eventsOf, tally, together, useRacingService } from '../support/race.ts';

const endings: Record<string, string[]> = {
  'order.created 1,order.canceled 2': ['CANCELED', 'no refund'],
  'order.created 1,order.paid 2,order.canceled 3': ['CANCELED', 'refund due'],
  'order.created 1,order.paid 2,order.shipped 3': ['SHIPPED', 'no refund'],
};

test.each(['PENDING', 'PAID'])(
  '60 %s orders, each paid, shipped and canceled at once: a legal end, one event for every version',
  async (start) => {
    const service = await useRacingService();
    const seen = new Set<string>();
    // Five at a time, so that the three calls of an order are at the database together and not in the pool's queue;
    // a product for each, so that they wait for their order and for nothing else.
    for (let round = 0; round < 12; round++) {
      await together(5, async (index) => {
        const { id } = await service.placeOrder((await service.createProduct()).id, 1);
        const move = (status: string) => service.call('PUT', `/orders/${id}`, { status });
        if (start === 'PAID') await move('PAID');
        const before = (await eventsOf(service, id)).length;
        // Each of the three goes first as often as the others.
        const steps = ['PAID', 'SHIPPED', 'CANCELED', 'PAID', 'SHIPPED'];
        const answers = await Promise.all(
          steps
            .slice((round + index) % 3)
            .slice(0, 3)
            .map(move),
        );
        const { 200: done = 0, 400: refused = 0 } = tally(answers);
        expect(done + refused).toBe(3);

        const { body } = await service.call('GET', `/orders/${id}`);
        expect(body.version).toBe(before + done);
        const events = (await eventsOf(service, id)).join();
        expect([body.status, body.refund_due === true ? 'refund due' : 'no refund']).toEqual(endings[events]);
        seen.add(events);
      });
    }
    // Whoever came first has won, so there is more than one ending, or this was no race.
    expect(seen.size).toBeGreaterThan(1);
    await expectStockAddsUp(service.database);
  },
);

test('20 orders, each canceled 5 times at once: 1 time 204 and 4 times 400, the stock returns once', async () => {
  const service = await useRacingService();
  const { id: productId } = await service.createProduct({ stock: 20 });
  const orders = await together(20, () => service.placeOrder(productId, 1));
  await together(20, async (index) => {
    const answers = await together(5, () => service.call('DELETE', `/orders/${orders[index]?.id}`));
    expect(tally(answers)).toEqual({ 204: 1, 400: 4 });
  });
  const { body } = await service.call('GET', `/products/${productId}`);
  expect(body).toMatchObject({ stock: 20, reserved: 0, on_hand: 20 });
  await expectStockAddsUp(service.database);
});

test('a paid order is shipped 10 times at once: 1 time 200, the stock leaves once', async () => {
  const service = await useRacingService();
  const { id: productId } = await service.createProduct({ stock: 20 });
  const { id } = await service.placeOrder(productId, 3);
  await service.call('PUT', `/orders/${id}`, { status: 'PAID' });
  const answers = await together(10, () => service.call('PUT', `/orders/${id}`, { status: 'SHIPPED' }));
  expect(tally(answers)).toEqual({ 200: 1, 400: 9 });
  const { body } = await service.call('GET', `/products/${productId}`);
  expect(body).toMatchObject({ stock: 17, reserved: 0, on_hand: 17 });
  await expectStockAddsUp(service.database);
});

test('10 callers pay one order with If-Match "1": one gets 200, 9 get 412 with the paid order', async () => {
  const service = await useRacingService();
  const { id: productId } = await service.createProduct();
  const { id } = await service.placeOrder(productId, 1);
  const answers = await together(10, () =>
    service.call('PUT', `/orders/${id}`, { status: 'PAID' }, { 'if-match': '"1"' }),
  );
  expect(tally(answers)).toEqual({ 200: 1, 412: 9 });
  const stale = answers.filter(({ status }) => status === 412).map(({ body }) => body.current.status);
  expect(new Set(stale)).toEqual(new Set(['PAID']));
  await expectStockAddsUp(service.database);
});
