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

/**
 * SPEC 5: what an amount does that covers the total, one of less and one of more. Orders are set PAID by hand, so that one
 * payment of theirs is what they were set PAID for. A state in capitals is where the order goes.
 */
const RULES: Record<string, [covers: string, less: string, more: string]> = {
  'payment.succeeded PENDING': ['processed PAID', 'review underpaid', 'review overpaid PAID'],
  'payment.succeeded PAID': ['processed', 'processed', 'review already_paid'],
  'payment.succeeded SHIPPED': ['processed', 'processed', 'review already_paid'],
  'payment.succeeded CANCELED': ['review order_canceled', 'review order_canceled', 'review order_canceled'],
  'payment.failed PENDING': ['processed CANCELED', 'processed CANCELED', 'processed CANCELED'],
  'payment.failed PAID': ['ignored', 'ignored', 'ignored'],
  'payment.failed SHIPPED': ['ignored', 'ignored', 'ignored'],
  'payment.failed CANCELED': ['ignored', 'ignored', 'ignored'],
  'payment.refunded PENDING': [
    'review refund_before_payment',
    'review refund_before_payment',
    'review refund_before_payment',
  ],
  'payment.refunded PAID': [
    'processed CANCELED',
    'review partial_refund',
    'review refund_exceeds_payments CANCELED',
  ],
  'payment.refunded SHIPPED': ['review order_shipped', 'review order_shipped', 'review order_shipped'],
  'payment.refunded CANCELED': [
    'review refund_exceeds_payments',
    'review refund_exceeds_payments',
    'review refund_exceeds_payments',
  ],
  'payment.disputed PAID': ['review disputed', 'review disputed', 'review disputed'],
};

interface Case {
  type: string;
  state: State;
  amount: Amount;
  expected: string;
}

const cases: Case[] = Object.entries(RULES).flatMap(([rule, [covers, less, more]]) => {
  const [type, state] = rule.split(' ') as [string, State];
  return (Object.keys(AMOUNTS) as Amount[]).map((amount) => {
    const movesNothing = amount === 'nothing' && /succeeded|refunded/.test(type);
    const byAmount = { 'a cent less': less, 'a cent more': more, nothing: movesNothing ? 'ignored' : covers };
    return { type, state, amount, expected: { ...byAmount }[amount as keyof typeof byAmount] ?? covers };
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

describe('4 events × their states × 6 amounts', () => {
  test.each(cases)('$type of $amount on $state: $expected', async (given) => {
    const { id, status, body, before, after, exceptions, stored } = await apply(given);
    const [outcome = '', ...words] = given.expected.split(' ');
    const reason = outcome === 'review' ? words.shift() : undefined;
    const [moved = null] = words;
    const named = AMOUNTS[given.amount];
    const [came, went] = [given.type === 'payment.succeeded', given.type === 'payment.refunded'];
    const counted = outcome === 'ignored' ? 0 : Number(named ?? 40);
    const { amount_paid, amount_refunded } = before;
    expect({ id, http: status, ...body }).toMatchObject({ id, http: 200, status: outcome, order_id: id });
    expect(body.new_status).toBe(outcome === 'processed' ? (moved ?? given.state) : undefined);
    expect(outcome === 'review' ? body.reason : undefined).toBe(reason);
    expect(after).toMatchObject({
      status: moved ?? given.state,
      version: before.version + Number(moved !== null || (counted > 0 && (came || went))),
      amount_paid: amount_paid + (came ? counted : 0),
      amount_refunded: amount_refunded + (went ? counted : 0),
    });
    const amount = named === undefined ? null : Number(named).toFixed(2);
    const review = { reason, detail: body.detail, amount, status: 'OPEN', resolution: null };
    expect(exceptions).toEqual(reason === undefined ? [] : [review]);
    expect(stored).toMatchObject([{ outcome, reason: body.reason ?? null, new_status: moved }]);
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
      reason: 'underpaid',
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
