import { expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

/** Four pieces at 10.00: a total of 40. */
async function pendingOrder(): Promise<number> {
  const { id } = await service.createProduct({ stock: 10, price: 10 });
  return (await service.placeOrder(id, 4)).id;
}

/** A refund of the whole total, before its payment. */
async function keptRefund(): Promise<{ orderId: number; id: number }> {
  const orderId = await pendingOrder();
  await service.pay({ event_type: 'payment.refunded', order_id: orderId, amount: 40 });
  const { body } = await service.call('GET', `/payments/exceptions?order_id=${orderId}`);
  return { orderId, id: body[0].id };
}

test('a kept refund cancels also an order that is set to PAID by hand, in one step, and is resolved with it', async () => {
  const { orderId, id } = await keptRefund();
  const { status, body } = await service.call('PUT', `/orders/${orderId}`, { status: 'PAID' });
  expect([status, body.status, body.version]).toEqual([200, 'CANCELED', 3]);
  expect(body).not.toHaveProperty('refund_due');
  const { body: history } = await service.call('GET', `/orders/${orderId}/history`);
  expect(history.map(({ to }: { to: string }) => to)).toEqual(['PENDING', 'PAID', 'CANCELED']);
  const exception = (await service.call('GET', `/payments/exceptions/${id}`)).body;
  expect(exception).toMatchObject({ status: 'RESOLVED', resolution: 'settled' });
  const told = await service.database.query(
    "select type from events where aggregate_type = 'payment_exception' and aggregate_id = $1 order by id",
    [id],
  );
  expect(told.map(({ type }) => type)).toEqual(['payment.review_required', 'payment.review_resolved']);
  await expectStockAddsUp(service.database);
});

test('a person who resolves a kept refund accepts the difference; the sums decide what its payment does', async () => {
  const { orderId, id } = await keptRefund();
  const resolution = { resolution: 'accepted' };
  expect((await service.call('POST', `/payments/exceptions/${id}/resolve`, resolution)).status).toBe(200);
  const { body } = await service.pay({ event_type: 'payment.succeeded', order_id: orderId, amount: 40 });
  expect(body).toMatchObject({ status: 'processed', new_status: 'CANCELED' });
});

test('a refund of a part does not cancel an order that is set to PAID by hand', async () => {
  const orderId = await pendingOrder();
  await service.pay({ event_type: 'payment.refunded', order_id: orderId, amount: 5 });
  const { body } = await service.call('PUT', `/orders/${orderId}`, { status: 'PAID' });
  expect(body.status).toBe('PAID');
});

test('a canceled order cannot be set to PAID by its kept refund', async () => {
  const { orderId, id } = await keptRefund();
  await service.call('DELETE', `/orders/${orderId}`);
  const answer = await service.call('PUT', `/orders/${orderId}`, { status: 'PAID' });
  expect(answer).toBeProblem(400, 'invalid_status_transition');
  expect((await service.call('GET', `/payments/exceptions/${id}`)).body.status).toBe('OPEN');
});
