import { beforeAll, describe, expect, test } from 'vitest';

import { deliverForged, deliverSigned, inboxOf, nextOrderId, replay } from '../support/inbox.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
import { deliver, standardHeaders, storedPaymentEvents } from '../support/webhooks.ts';

const service = useSharedService();
let productId: number;

beforeAll(async () => {
  productId = (await service.createProduct({ stock: 1000 })).id;
});

async function only(query: string) {
  const found = await inboxOf(service, query);
  expect(found).toHaveLength(1);
  return found[0];
}

/** A payment that comes before its order: it fails, and waits in the inbox. */
async function earlyPayment(more: object = {}): Promise<{ id: number; orderId: number }> {
  const orderId = await nextOrderId(service);
  const event = { event_type: 'payment.succeeded', order_id: orderId, event_id: `early_${orderId}`, ...more };
  expect((await service.pay(event, { 'x-event-id': 'recorded' })).status).toBe(404);
  return { id: (await only(`event_id=early_${orderId}`)).id, orderId };
}

describe('a payment that came before its order', () => {
  test('is applied by a replay as soon as the order is there: answered, stored and told like a webhook', async () => {
    const { id, orderId } = await earlyPayment();
    const before = await only(`event_id=early_${orderId}`);
    await service.placeOrder(productId, 1);
    const headers = { 'x-request-id': `replay-${orderId}` };
    const answer = await service.call('POST', `/webhooks/inbox/${id}/replay`, undefined, headers);
    const result = { status: 'processed', order_id: orderId, new_status: 'PAID' };
    expect([answer.status, answer.body]).toEqual([200, result]);
    expect((await service.call('GET', `/orders/${orderId}`)).body).toMatchObject({
      status: 'PAID',
      version: 2,
    });

    const stored = { identity: `event:early_${orderId}`, unsigned_event_id: 'recorded', actor: 'anonymous' };
    expect(await storedPaymentEvents(service, orderId)).toMatchObject([
      { ...stored, request_id: `replay-${orderId}`, outcome: 'processed' },
    ]);
    // Under the same id, with the same times; a replay is no delivery.
    const applied = { outcome: 'processed', new_status: 'PAID', reason: null, detail: null };
    expect((await service.call('GET', `/webhooks/inbox/${id}`)).body).toEqual({
      ...before,
      ...applied,
      request_id: `replay-${orderId}`,
    });
    const { body: history } = await service.call('GET', `/orders/${orderId}/history`);
    expect(history.at(-1)).toMatchObject({ to: 'PAID', actor: 'anonymous', cause: 'payment.succeeded' });
  });

  test('fails again as long as the order is missing: 404, and it can still be replayed', async () => {
    const { id, orderId } = await earlyPayment();
    for (let i = 0; i < 2; i++)
      expect(await replay(service, id)).toBeProblem(404, 'order_not_found', 'Order not found');
    expect(await only(`event_id=early_${orderId}`)).toMatchObject({ id, outcome: 'failed', deliveries: 1 });
    expect(await storedPaymentEvents(service, orderId)).toEqual([]);
    await service.placeOrder(productId, 1);
    expect((await replay(service, id)).status).toBe(200);
  });

  test('is not consumed: the provider’s own retry works, too, and then there is nothing to replay', async () => {
    const { id, orderId } = await earlyPayment();
    await service.placeOrder(productId, 1);
    const event = { event_type: 'payment.succeeded', order_id: orderId, event_id: `early_${orderId}` };
    expect((await service.pay(event)).body.status).toBe('processed');
    expect(await replay(service, id)).toBeProblem(409, 'inbound_delivery_not_failed');
    expect((await service.pay(event)).body.status).toBe('already_processed');
  });

  test('becomes a review when its amount is not the total of the order that came', async () => {
    const { id, orderId } = await earlyPayment({ amount: 9.99 });
    await service.placeOrder(productId, 1);
    expect((await replay(service, id)).body).toMatchObject({ status: 'review', reason: 'underpaid' });
    const { body } = await service.call('GET', `/payments/exceptions?order_id=${orderId}`);
    expect(body).toMatchObject([{ reason: 'underpaid', amount: 9.99, payment_event_id: id }]);
  });

  test('of Standard Webhooks keeps webhook-id as its identity', async () => {
    const orderId = await nextOrderId(service);
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: orderId });
    const headers = standardHeaders(payload, { id: `msg_${orderId}` });
    expect((await deliver(service, payload, headers)).status).toBe(404);
    await service.placeOrder(productId, 1);
    const { id } = await only(`event_id=msg_${orderId}`);
    expect((await replay(service, id)).body.status).toBe('processed');
    expect((await deliver(service, payload, headers)).body.status).toBe('already_processed');
    const stored = [{ identity: `webhook:msg_${orderId}`, scheme: 'standard-webhooks' }];
    expect(await storedPaymentEvents(service, orderId)).toMatchObject(stored);
  });

  test('without any id keeps the digest of its body as its identity', async () => {
    const orderId = await nextOrderId(service);
    const payload = `{"order_id": ${orderId}, "event_type": "payment.succeeded"}`;
    await deliverSigned(service, payload);
    await service.placeOrder(productId, 1);
    const { id, identity } = await only(`order_id=${orderId}`);
    expect((await replay(service, id)).body.status).toBe('processed');
    expect((await deliverSigned(service, payload)).body.status).toBe('already_processed');
    expect(await storedPaymentEvents(service, orderId)).toMatchObject([{ identity }]);
  });
});

describe('what cannot be replayed', () => {
  test.each(['processed', 'ignored', 'review'])('an event that was %s: 409', async (outcome) => {
    const { id: orderId } = await service.placeOrder(productId, 1);
    const event = {
      processed: { event_type: 'payment.succeeded' },
      ignored: { event_type: 'payment.created' },
      review: { event_type: 'payment.refunded' },
    }[outcome];
    await service.pay({ ...event, order_id: orderId });
    const { id } = await only(`order_id=${orderId}`);
    const answer = await replay(service, id);
    expect(answer).toBeProblem(409, 'inbound_delivery_not_failed');
    expect(answer.body.detail).toContain(`this one is ${outcome}`);
  });

  test('what nobody has signed, whatever it says: 409, and nothing is applied', async () => {
    const { id: orderId } = await service.placeOrder(productId, 1);
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: orderId });
    await deliverForged(service, payload);
    await deliver(service, payload, {});
    for (const verdict of ['forged', 'missing']) {
      const { id } = await only(`verdict=${verdict}`);
      expect(await replay(service, id)).toBeProblem(409, 'inbound_delivery_not_failed');
    }
    expect((await service.call('GET', `/orders/${orderId}`)).body.status).toBe('PENDING');
    expect(await storedPaymentEvents(service, orderId)).toEqual([]);
  });

  test('a body that is still wrong: 400 or 422 as when it came, and it stays', async () => {
    await deliverSigned(service, '{"event_type":"payment.succeeded","event_id":"wrong"}');
    const wrong = await only('event_id=wrong');
    const answer = await replay(service, wrong.id);
    expect(answer).toHaveFaults('body/order_id');
    expect(answer.body.detail).toBe(wrong.detail);
    await deliverSigned(service, '{');
    const broken = (await inboxOf(service, 'outcome=failed&limit=1'))[0];
    expect(await replay(service, broken.id)).toBeProblem(400, 'malformed_request', broken.detail);
    expect(await only('event_id=wrong')).toEqual(wrong);
  });
});

test('a replay that fails for another reason than before says so in the inbox', async () => {
  const { id, orderId } = await earlyPayment();
  await service.database.query('update inbound_deliveries set reason = $1, detail = $1 where id = $2', [
    'service_unavailable',
    id,
  ]);
  await replay(service, id);
  expect(await only(`event_id=early_${orderId}`)).toMatchObject({
    reason: 'order_not_found',
    detail: 'Order not found',
  });
});

test('a body that an older version refused and this one takes is applied, and leaves no failure behind', async () => {
  // Its identity was taken from the body as a whole, because its event_id was not acceptable then.
  const { id: orderId } = await service.placeOrder(productId, 1);
  const body = JSON.stringify({
    event_type: 'payment.succeeded',
    event_id: `new_${orderId}`,
    order_id: orderId,
  });
  const [row] = await service.database.query<{ id: string }>(
    `insert into inbound_deliveries (outcome, identity, scheme, reason, detail, raw_body, request_id,
                                   received_at, last_delivered_at)
     values ('failed', 'sha256:old', 'x-webhook-signature', 'validation_failed', 'x', $1, 'r', now(), now())
     returning id`,
    [body],
  );
  expect((await replay(service, Number(row?.id))).body.status).toBe('processed');
  expect(await only(`event_id=new_${orderId}`)).toMatchObject({
    outcome: 'processed',
    identity: `event:new_${orderId}`,
  });
  expect(await service.database.query('select from inbound_deliveries where id = $1', [row?.id])).toEqual([]);
});

test('a replay takes no body, and a client that always names a content type may still call it', async () => {
  const { id } = await earlyPayment();
  await service.placeOrder(productId, 1);
  const answer = await service.call('POST', `/webhooks/inbox/${id}/replay`, undefined, {
    'content-type': 'application/json',
  });
  expect(answer.status).toBe(200);
  await expectStockAddsUp(service.database);
});
