import { expect, test } from 'vitest';

import { expectMoneyAddsUp, tamper } from '../support/audits.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService();

/** Four pieces at 10.00: a total of 40. */
async function pendingOrder(of = service): Promise<number> {
  const { id } = await of.createProduct({ stock: 10, price: 10 });
  return (await of.placeOrder(id, 4)).id;
}

function record(id: number, kind: string, amount: number, headers: Record<string, string> = {}) {
  return service.call('POST', `/orders/${id}/payments`, { kind, amount, note: 'at the counter' }, headers);
}

function pay(type: string, id: number, amount: number, event_id: string) {
  return service.pay({ event_type: `payment.${type}`, order_id: id, amount, event_id: `${event_id}-${id}` });
}

test('two halves in cash pay an order; each is a line of its ledger, and the order has the sums', async () => {
  const id = await pendingOrder();
  const half = await record(id, 'captured', 20, { 'x-request-id': 'half' });
  expect([half.status, half.headers.etag]).toEqual([201, '"2"']);
  expect(half.body).toMatchObject({
    review: 'underpaid',
    order: { status: 'PENDING', amount_paid: 20, amount_refunded: 0, currency: 'USD' },
    payment: {
      order_id: id,
      kind: 'captured',
      amount: 20,
      paid_after: 20,
      refunded_after: 0,
      provider: 'manual',
      payment_event_id: null,
      note: 'at the counter',
      actor: 'anonymous',
      request_id: 'half',
    },
  });
  const rest = await pay('succeeded', id, 20, 'rest');
  expect(rest.body).toMatchObject({ status: 'processed', new_status: 'PAID' });
  const { body: payments } = await service.call('GET', `/orders/${id}/payments`);
  expect(payments).toMatchObject([half.body.payment, { provider: 'generic', paid_after: 40 }]);
  const { body: exceptions } = await service.call('GET', `/payments/exceptions?order_id=${id}`);
  expect(exceptions).toMatchObject([{ reason: 'underpaid', payment_event_id: null, resolution: 'settled' }]);
  await expectMoneyAddsUp(service);
});

test('a second payment that goes back leaves the order PAID, and parts that add up to the whole cancel it', async () => {
  const id = await pendingOrder();
  await pay('succeeded', id, 40, 'first');
  expect((await pay('succeeded', id, 40, 'second')).body.reason).toBe('already_paid');
  expect((await pay('refunded', id, 40, 'back')).body).toMatchObject({
    status: 'processed',
    new_status: 'PAID',
  });
  expect((await pay('refunded', id, 15, 'part')).body.reason).toBe('partial_refund');
  expect((await record(id, 'refunded', 25)).body).toMatchObject({
    review: null,
    order: { status: 'CANCELED' },
  });
  const { body: open } = await service.call('GET', `/payments/exceptions?order_id=${id}&status=OPEN`);
  expect(open).toEqual([]);
  await expectStockAddsUp(service.database);
  await expectMoneyAddsUp(service);
});

test('a refund that was due clears refund_due when it comes', async () => {
  const id = await pendingOrder();
  await pay('succeeded', id, 40, 'first');
  await service.call('DELETE', `/orders/${id}`);
  expect((await service.call('GET', `/orders/${id}`)).body.refund_due).toBe(true);
  expect((await pay('refunded', id, 30, 'part')).body).toMatchObject({ status: 'processed' });
  expect((await service.call('GET', `/orders/${id}`)).body.refund_due).toBe(true);
  expect((await pay('refunded', id, 10, 'rest')).body).toMatchObject({ status: 'processed' });
  expect((await service.call('GET', `/orders/${id}`)).body).not.toHaveProperty('refund_due');
  await expectMoneyAddsUp(service);
});

test('a refund of more than is held: 409 with what is held, and nothing is written', async () => {
  const id = await pendingOrder();
  await record(id, 'captured', 40);
  const answer = await record(id, 'refunded', 40.01);
  expect(answer).toBeProblem(409, 'refund_exceeds_held', 'The shop holds 40.00 for the order, not 40.01');
  expect(answer.body.held).toBe(40);
  expect((await service.call('GET', `/orders/${id}/payments`)).body).toHaveLength(1);
});

test('the same Idempotency-Key records once; unknown orders and stale versions are refused', async () => {
  const id = await pendingOrder();
  const key = { 'idempotency-key': `pay-${id}` };
  const first = await record(id, 'captured', 40, key);
  const again = await record(id, 'captured', 40, key);
  expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([
    201,
    first.text,
    'true',
  ]);
  expect(await record(id, 'captured', 41, key)).toBeProblem(409, 'idempotency_key_reused');
  expect((await service.call('GET', `/orders/${id}/payments`)).body).toHaveLength(1);
  expect(await record(id, 'captured', 1, { 'if-match': '"1"' })).toBeProblem(412, 'version_mismatch');
  expect(await record(999_999, 'captured', 1)).toBeProblem(404, 'order_not_found');
  expect(await service.call('GET', '/orders/999999/payments')).toBeProblem(404, 'order_not_found');
});

test('an accepted difference is no drift, and is told again when the sums change', async () => {
  const id = await pendingOrder();
  await pay('succeeded', id, 50, 'more');
  const [{ id: exception }] = (await service.call('GET', `/payments/exceptions?order_id=${id}`)).body;
  await service.call('POST', `/payments/exceptions/${exception}/resolve`, { resolution: 'accepted' });
  await expectMoneyAddsUp(service);
  expect((await pay('refunded', id, 1, 'back')).body).toMatchObject({ status: 'review', reason: 'overpaid' });
  await expectMoneyAddsUp(service);
});

test('money in another currency is a review and counts nowhere; the shop’s own counts in any case', async () => {
  const id = await pendingOrder();
  const event = { event_type: 'payment.succeeded', order_id: id, amount: 40 };
  const other = await service.pay({ ...event, event_id: `jpy-${id}`, currency: 'JPY' });
  expect(other.body).toMatchObject({ status: 'review', reason: 'currency_mismatch' });
  expect((await service.call('GET', `/orders/${id}`)).body).toMatchObject({
    status: 'PENDING',
    amount_paid: 0,
  });
  const own = await service.pay({ ...event, event_id: `usd-${id}`, currency: 'usd' });
  expect(own.body).toMatchObject({ status: 'processed', new_status: 'PAID' });
  await expectMoneyAddsUp(service);
});

test('PAYMENT_FAILED=keep: the order waits for the next try; its currency is that of the shop', async () => {
  const shop = await useTestService({ paymentFailed: 'keep', currency: 'EUR' });
  const id = await pendingOrder(shop);
  const failed = await shop.pay({ event_type: 'payment.failed', order_id: id });
  expect(failed.body).toMatchObject({ status: 'ignored', order_id: id });
  expect((await shop.call('GET', `/orders/${id}`)).body).toMatchObject({
    status: 'PENDING',
    currency: 'EUR',
  });
  const paid = await shop.pay({ event_type: 'payment.succeeded', order_id: id, currency: 'EUR' });
  expect(paid.body).toMatchObject({ new_status: 'PAID' });
});

test('the audit finds sums that are not those of the ledger, and differences that nothing tells; the gauge shows them', async () => {
  const shop = await useTestService();
  const [first, second] = [await pendingOrder(shop), await pendingOrder(shop)];
  for (const order_id of [first, second]) await shop.pay({ event_type: 'payment.succeeded', order_id });
  await expectMoneyAddsUp(shop);
  await tamper(shop.database, `update orders set amount_paid = 41 where id = ${first}`);
  await tamper(shop.database, `update orders set status = 'PENDING' where id = ${second}`);
  const { body } = await shop.call('GET', '/payments/audit');
  expect(body).toMatchObject({ orders: 2, drift_cents: 4100, drifting_orders: 2 });
  expect(body.drifts).toMatchObject([
    { order_id: second, held: 40, due: 0, drift_cents: 4000 },
    { order_id: first, amount_paid: { stored: 41, ledger: 40 }, drift_cents: 100 },
  ]);
  expect((await shop.call('GET', '/metrics')).text).toContain('\npayments_drift_cents 4100\n');
});
