import { describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
import { storedPaymentEvents } from '../support/webhooks.ts';

const service = useSharedService();

const STATES = ['PENDING', 'PAID', 'SHIPPED', 'CANCELED'] as const;
type State = (typeof STATES)[number];
const ROUTES: Record<State, State[]> = {
  PENDING: [],
  PAID: ['PAID'],
  SHIPPED: ['PAID', 'SHIPPED'],
  CANCELED: ['CANCELED'],
};

/** Four pieces of ten at 10.00: a total of 40. */
async function orderIn(state: State): Promise<{ id: number; product_id: number }> {
  const { id: product_id } = await service.createProduct({ stock: 10, price: 10 });
  const { id } = await service.placeOrder(product_id, 4);
  for (const status of ROUTES[state]) await service.call('PUT', `/orders/${id}`, { status });
  return { id, product_id };
}

interface Exception {
  reason: string;
  detail: string;
  amount: string | null;
  status: string;
  resolution: string | null;
}

function exceptionsOf(id: number): Promise<Exception[]> {
  return service.database.query<Exception & Record<string, unknown>>(
    'select reason, detail, amount, status, resolution from payment_exceptions where order_id = $1 order by id',
    [id],
  );
}

const AMOUNTS = {
  'no amount': undefined,
  'the total': 40,
  'the total as a text': '40.00',
  'a cent less': 39.99,
  'a cent more': 40.01,
  nothing: 0,
};
type Amount = keyof typeof AMOUNTS;
const COVERS = new Set<Amount>(['no amount', 'the total', 'the total as a text']);

/** SPEC 5: [with an amount that covers the total, with another one]; a state in capitals is where the order goes. */
const RULES: Record<string, [string, string]> = {
  'payment.succeeded PENDING': ['PAID', 'review amount_mismatch'],
  'payment.succeeded PAID': ['review already_paid', 'review already_paid'],
  'payment.succeeded SHIPPED': ['review already_paid', 'review already_paid'],
  'payment.succeeded CANCELED': ['review order_canceled', 'review order_canceled'],
  'payment.failed PENDING': ['CANCELED', 'CANCELED'],
  'payment.failed PAID': ['ignored', 'ignored'],
  'payment.failed SHIPPED': ['ignored', 'ignored'],
  'payment.failed CANCELED': ['ignored', 'ignored'],
  'payment.refunded PENDING': ['review refund_before_payment', 'review partial_refund'],
  'payment.refunded PAID': ['CANCELED', 'review partial_refund'],
  'payment.refunded SHIPPED': ['review order_shipped', 'review order_shipped'],
  'payment.refunded CANCELED': ['review order_canceled', 'review order_canceled'],
};

interface Case {
  type: string;
  state: State;
  amount: Amount;
  outcome: string;
  reason: string;
}

const cases: Case[] = Object.entries(RULES).flatMap(([rule, [covered, otherwise]]) => {
  const [type, state] = rule.split(' ') as [string, State];
  return (Object.keys(AMOUNTS) as Amount[]).map((amount) => {
    const [outcome = '', reason = ''] = (COVERS.has(amount) ? covered : otherwise).split(' ');
    return { type, state, amount, outcome, reason };
  });
});

/** Delivers the event of a case, and tells all that it did to the order. */
async function apply({ type, state, amount }: Case) {
  const { id } = await orderIn(state);
  const before = (await service.call('GET', `/orders/${id}`)).body;
  const { status, body } = await service.pay({ event_type: type, order_id: id, amount: AMOUNTS[amount] });
  const after = (await service.call('GET', `/orders/${id}`)).body;
  const stored = await storedPaymentEvents(service, id);
  return { id, status, body, before, after, exceptions: await exceptionsOf(id), stored };
}

describe('3 events × 4 states × 6 amounts: 72 deliveries', () => {
  const reviews = cases.filter(({ outcome }) => outcome === 'review');
  const ignored = cases.filter(({ outcome }) => outcome === 'ignored');
  const processed = cases.filter(({ outcome }) => outcome !== 'review' && outcome !== 'ignored');

  test.each(processed)('$type of $amount on $state: the order goes to $outcome', async (given) => {
    const { id, status, body, before, after, exceptions, stored } = await apply(given);
    expect([status, body]).toEqual([200, { status: 'processed', order_id: id, new_status: given.outcome }]);
    expect([after.status, after.version]).toEqual([given.outcome, before.version + 1]);
    expect(exceptions).toEqual([]);
    expect(stored).toMatchObject([{ outcome: 'processed', new_status: given.outcome }]);
  });

  test.each(reviews)('$type of $amount on $state: review, because of $reason', async (given) => {
    const { id, status, body, before, after, exceptions, stored } = await apply(given);
    const { reason } = given;
    const detail = expect.stringMatching(/^The /);
    expect([status, body]).toEqual([200, { status: 'review', order_id: id, reason, detail }]);
    const amount = AMOUNTS[given.amount] === undefined ? null : Number(AMOUNTS[given.amount]).toFixed(2);
    expect(exceptions).toEqual([{ reason, detail: body.detail, amount, status: 'OPEN', resolution: null }]);
    expect(after).toEqual(before);
    expect(stored).toMatchObject([{ outcome: 'review', reason, new_status: null }]);
  });

  test.each(ignored)('$type of $amount on $state: ignored, with a reason', async (given) => {
    const { id, status, body, before, after, exceptions, stored } = await apply(given);
    const reason = expect.stringMatching(/^The order is (paid|shipped|canceled) already$/);
    expect([status, body]).toEqual([200, { status: 'ignored', order_id: id, reason }]);
    expect([after, exceptions]).toEqual([before, []]);
    expect(stored).toMatchObject([{ outcome: 'ignored', reason: body.reason }]);
  });

  test('after all of them, counters, ledger and events agree', async () => {
    await expect(expectStockAddsUp(service.database)).resolves.toBeUndefined();
  });
});

test('a failed payment gives the stock back', async () => {
  const { id, product_id } = await orderIn('PENDING');
  await service.pay({ event_type: 'payment.failed', order_id: id });
  const { body } = await service.call('GET', `/products/${product_id}`);
  expect(body).toMatchObject({ stock: 10, reserved: 0, on_hand: 10 });
});

test('a refund in full cancels, gives the stock back, and nothing more is due', async () => {
  const { id, product_id } = await orderIn('PAID');
  await service.pay({ event_type: 'payment.refunded', order_id: id, amount: 40 });
  const { body: order } = await service.call('GET', `/orders/${id}`);
  expect(order.status).toBe('CANCELED');
  expect(order).not.toHaveProperty('refund_due');
  expect((await service.call('GET', `/products/${product_id}`)).body).toMatchObject({
    stock: 10,
    reserved: 0,
  });
});

test('a review is told by one event with the exception in it', async () => {
  const { id } = await orderIn('PENDING');
  await service.pay(
    { event_type: 'payment.succeeded', order_id: id, amount: 39 },
    { 'x-request-id': 'short-paid' },
  );
  const events = await service.database.query(
    `select type, actor, request_id, payload->'exception'->>'reason' as reason, payload->'exception'->'amount' as amount
       from events where aggregate_type = 'payment_exception' and request_id = 'short-paid'`,
  );
  expect(events).toEqual([
    {
      type: 'payment.review_required',
      actor: 'payment-provider',
      request_id: 'short-paid',
      reason: 'amount_mismatch',
      amount: 39,
    },
  ]);
});

test.each(['payment.created', 'charge.dispute', 'PAYMENT.SUCCEEDED', 'toString', '__proto__', '🍵'])(
  'events of the type %s are ignored, stored, and change nothing',
  async (type) => {
    const { id } = await orderIn('PENDING');
    const { status, body } = await service.pay({ event_type: type, order_id: id });
    expect([status, body]).toEqual([
      200,
      { status: 'ignored', order_id: id, reason: expect.stringContaining(type) },
    ]);
    expect((await service.call('GET', `/orders/${id}`)).body).toMatchObject({
      status: 'PENDING',
      version: 1,
    });
    expect(await storedPaymentEvents(service, id)).toMatchObject([{ event_type: type, outcome: 'ignored' }]);
  },
);
