import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';
import { deliver, standardHeaders, storedPaymentEvents } from '../support/webhooks.ts';
const service = useSharedService();

async function pendingOrder(): Promise<number> {
  return (await service.placeOrder((await service.createProduct()).id, 1)).id;
}

function send(body: string) {
  return deliver(service, body, { 'x-webhook-signature': signPayload(body) });
}

async function versionOf(id: number): Promise<number> {
  return (await service.call('GET', `/orders/${id}`)).body.version;
}

function known(orderId: number, outcome = 'processed') {
  return { status: 'already_processed', order_id: orderId, outcome };
}

describe('event_id in the signed body is the identity', () => {
  test('5 deliveries, each in another spelling: one is processed, 4 are already_processed', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `evt_${id}` };
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push((await service.pay({ ...event, attempt: i })).body);
    const repeated = Array.from({ length: 4 }, () => known(id));
    expect(answers).toEqual([{ status: 'processed', order_id: id, new_status: 'PAID' }, ...repeated]);
    expect(await versionOf(id)).toBe(2);
    expect(await storedPaymentEvents(service, id)).toHaveLength(1);
  });

  test('another event_id about the same payment is another event: a second payment, for review', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id };
    await service.pay({ ...event, event_id: `a_${id}` });
    expect((await service.pay({ ...event, event_id: `b_${id}` })).body).toMatchObject({
      status: 'review',
      reason: 'already_paid',
    });
  });

  test('it goes before webhook-id: the same event under a new webhook-id is known', async () => {
    const id = await pendingOrder();
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: id, event_id: `evt_${id}` });
    await deliver(service, payload, standardHeaders(payload, { id: `one_${id}` }));
    const again = await deliver(service, payload, standardHeaders(payload, { id: `two_${id}` }));
    expect(again.body).toEqual(known(id));
  });

  test('it is known under the other scheme, too', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `evt_${id}` };
    await service.pay(event);
    const payload = JSON.stringify({ ...event, more: 1 });
    expect((await deliver(service, payload, standardHeaders(payload, { id: `m_${id}` }))).body).toEqual(
      known(id),
    );
  });

  test.each([
    ['another order', { order_id: true }],
    ['another amount', { amount: 12.5 }],
    ['another currency', { currency: 'JPY' }],
  ])(
    'a known event that says %s is a review of the first order, once; its body is kept, nothing else changes',
    async (_what, change) => {
      const [first, second] = [await pendingOrder(), await pendingOrder()];
      const event = {
        event_type: 'payment.succeeded',
        event_id: `evt_${first}`,
        order_id: first,
        currency: 'USD',
      };
      await service.pay(event);
      const other = { ...event, ...change, ...('order_id' in change ? { order_id: second } : {}) };
      const { status, body } = await service.pay(other);
      expect([status, body]).toMatchObject([
        200,
        { status: 'review', reason: 'event_changed', order_id: first },
      ]);
      expect((await service.pay(other)).body).toEqual({
        status: 'already_processed',
        order_id: other.order_id,
        outcome: 'review',
      });
      expect((await service.pay(event)).body).toEqual(known(first));
      expect([await versionOf(first), await versionOf(second)]).toEqual([2, 1]);
      const exceptions = await service.call('GET', `/payments/exceptions?order_id=${first}`);
      expect(exceptions.body).toMatchObject([{ reason: 'event_changed', status: 'OPEN' }]);
      const kept = await service.call('GET', `/webhooks/inbox/${exceptions.body[0].payment_event_id}`);
      expect(JSON.parse(kept.body.raw_body)).toEqual(other);
    },
  );

  test('a known event that names an unknown order is a review of the first, too', async () => {
    const first = await pendingOrder();
    const event = { event_type: 'payment.succeeded', event_id: `evt_${first}` };
    await service.pay({ ...event, order_id: first });
    expect((await service.pay({ ...event, order_id: 999_999 })).body).toMatchObject({
      status: 'review',
      reason: 'event_changed',
      order_id: first,
    });
  });

  test('the same id in another type of event is another event', async () => {
    const id = await pendingOrder();
    await service.pay({ event_type: 'payment.succeeded', order_id: id, event_id: `evt_${id}` });
    expect(
      (await service.pay({ event_type: 'payment.refunded', order_id: id, event_id: `evt_${id}` })).body,
    ).toEqual({ status: 'processed', order_id: id, new_status: 'CANCELED' });
  });
});

describe('without an event_id, the signed webhook-id is the identity', () => {
  test('the same webhook-id is known, whatever else the body says', async () => {
    const id = await pendingOrder();
    const bodies = [1, 2].map((n) => JSON.stringify({ event_type: 'payment.succeeded', order_id: id, n }));
    const answers = [];
    for (const payload of bodies) {
      answers.push((await deliver(service, payload, standardHeaders(payload, { id: `msg_${id}` }))).body);
    }
    expect(answers).toEqual([{ status: 'processed', order_id: id, new_status: 'PAID' }, known(id)]);
  });

  test('another webhook-id is another event', async () => {
    const id = await pendingOrder();
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: id });
    await deliver(service, payload, standardHeaders(payload, { id: `one_${id}` }));
    const { body } = await deliver(service, payload, standardHeaders(payload, { id: `two_${id}` }));
    expect(body).toMatchObject({ status: 'review', reason: 'already_paid' });
  });
});

describe('without both, the body is the identity', () => {
  test('the same bytes are known; one blank more is another event', async () => {
    const id = await pendingOrder();
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: id });
    expect((await send(payload)).body.status).toBe('processed');
    expect((await send(payload)).body).toEqual(known(id));
    expect((await send(`${payload} `)).body.status).toBe('review');
  });
});

describe('headers that nobody signed never make an event new', () => {
  test.each(['x-event-id', 'webhook-id', 'x-request-id', 'idempotency-key'])(
    'a new %s on each of 3 deliveries: one is processed, 2 are already_processed',
    async (name) => {
      const id = await pendingOrder();
      const event = { event_type: 'payment.succeeded', order_id: id };
      const answers = [];
      for (let i = 0; i < 3; i++)
        answers.push((await service.pay(event, { [name]: `fresh-${id}-${i}` })).body);
      expect(answers).toEqual([
        { status: 'processed', order_id: id, new_status: 'PAID' },
        known(id),
        known(id),
      ]);
    },
  );

  test('nor do they make a new event known: the same X-Event-Id and webhook-id on two events', async () => {
    const headers = { 'x-event-id': 'stolen', 'webhook-id': 'stolen' };
    for (const id of [await pendingOrder(), await pendingOrder()]) {
      const { body } = await service.pay({ event_type: 'payment.succeeded', order_id: id }, headers);
      expect(body).toEqual({ status: 'processed', order_id: id, new_status: 'PAID' });
    }
  });

  test('the three kinds of identity never meet: an event_id that reads like a webhook-id is its own', async () => {
    const [first, second] = [await pendingOrder(), await pendingOrder()];
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: first });
    await deliver(service, payload, standardHeaders(payload, { id: 'evt_same' }));
    const event = { event_type: 'payment.succeeded', order_id: second, event_id: 'evt_same' };
    expect((await service.pay(event)).body.status).toBe('processed');
    const tricky = { event_type: 'payment.succeeded', order_id: second, event_id: 'webhook:evt_same' };
    expect((await service.pay(tricky)).body.status).toBe('review');
  });
});

describe('an unknown order is 404 and the event is not consumed', () => {
  test('the same delivery works as soon as the order is there', async () => {
    const { id: product_id } = await service.createProduct();
    const [{ next } = { next: 0 }] = await service.database.query<{ next: number }>(
      'select last_value::int + 1 as next from orders_id_seq',
    );
    const event = { event_type: 'payment.succeeded', order_id: next, event_id: `early_${next}` };
    for (let i = 0; i < 2; i++) {
      expect(await service.pay(event)).toBeProblem(404, 'order_not_found', 'Order not found');
    }
    expect(await storedPaymentEvents(service, next)).toEqual([]);
    expect((await service.placeOrder(product_id, 1)).id).toBe(next);
    expect((await service.pay(event)).body).toEqual({
      status: 'processed',
      order_id: next,
      new_status: 'PAID',
    });
  });
});

describe('an event that was ignored or reviewed is known, too, with what became of it', () => {
  test('ignored', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.pending', order_id: id, event_id: `evt_${id}` };
    expect((await service.pay(event)).body.status).toBe('ignored');
    expect((await service.pay(event)).body).toEqual(known(id, 'ignored'));
  });

  test('review: 3 deliveries make one exception', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `evt_${id}`, amount: 1 };
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await service.pay(event)).body.status);
    expect(statuses).toEqual(['review', 'already_processed', 'already_processed']);
    const rows = await service.database.query('select 1 from payment_exceptions where order_id = $1', [id]);
    expect(rows).toHaveLength(1);
  });
});
