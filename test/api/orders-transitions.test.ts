import { describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { type Answer, useSharedService } from '../support/service.ts';

const service = useSharedService();

const STATES = ['PENDING', 'PAID', 'SHIPPED', 'CANCELED'] as const;
type State = (typeof STATES)[number];
const ALLOWED: Record<State, State[]> = {
  PENDING: ['PAID', 'CANCELED'],
  PAID: ['SHIPPED', 'CANCELED'],
  SHIPPED: [],
  CANCELED: [],
};
const ROUTES: Record<State, State[]> = {
  PENDING: [],
  PAID: ['PAID'],
  SHIPPED: ['PAID', 'SHIPPED'],
  CANCELED: ['CANCELED'],
};

const ENDPOINTS = {
  'PUT /orders/{id}': (id: number, status: string) => service.call('PUT', `/orders/${id}`, { status }),
  'PATCH /orders/{id}/status': (id: number, status: string) =>
    service.call('PATCH', `/orders/${id}/status`, { status }),
};

/** An order of 4 out of 10 pieces that has come to a state. */
async function orderIn(state: State): Promise<{ id: number; product_id: number; version: number }> {
  const { id: product_id } = await service.createProduct({ stock: 10 });
  const { id } = await service.placeOrder(product_id, 4);
  for (const status of ROUTES[state]) await service.call('PUT', `/orders/${id}`, { status });
  return { id, product_id, version: 1 + ROUTES[state].length };
}

async function stockOf(id: number) {
  const { stock, reserved, on_hand } = (await service.call('GET', `/products/${id}`)).body;
  return { stock, reserved, on_hand };
}

const STOCK_IN: Record<State, object> = {
  PENDING: { stock: 6, reserved: 4, on_hand: 10 },
  PAID: { stock: 6, reserved: 4, on_hand: 10 },
  SHIPPED: { stock: 6, reserved: 0, on_hand: 6 },
  CANCELED: { stock: 10, reserved: 0, on_hand: 10 },
};

describe.each(Object.entries(ENDPOINTS))('%s: all 16 pairs of states', (_endpoint, change) => {
  const pairs = STATES.flatMap((from) => STATES.map((to) => ({ from, to })));
  const good = pairs.filter(({ from, to }) => ALLOWED[from].includes(to));
  const bad = pairs.filter(({ from, to }) => !ALLOWED[from].includes(to));

  test.each(good)('$from → $to goes through, and the stock follows', async ({ from, to }) => {
    const order = await orderIn(from);
    const answer: Answer = await change(order.id, to);
    expect([answer.status, answer.body.status]).toEqual([200, to]);
    expect(answer.body.version).toBe(order.version + 1);
    expect(answer.headers.etag).toBe(`"${order.version + 1}"`);
    expect((await service.call('GET', `/orders/${order.id}`)).body).toEqual(answer.body);
    expect(await stockOf(order.product_id)).toEqual(STOCK_IN[to]);
  });

  test.each(bad)('$from → $to: 400, in exactly these words, with what is allowed', async ({ from, to }) => {
    const order = await orderIn(from);
    const before = (await service.call('GET', `/orders/${order.id}`)).body;
    const answer = await change(order.id, to);
    const detail = `Invalid status transition from ${from} to ${to}`;
    expect(answer).toBeProblem(400, 'invalid_status_transition', detail);
    expect(answer.body.allowed).toEqual(ALLOWED[from]);
    expect((await service.call('GET', `/orders/${order.id}`)).body).toEqual(before);
    expect(await stockOf(order.product_id)).toEqual(STOCK_IN[from]);
  });

  test('an unknown order: 404, in exactly these words', async () => {
    expect(await change(999_999, 'PAID')).toBeProblem(404, 'order_not_found', 'Order not found');
  });

  test.each(['paid', 'DONE', '', ' PAID'])('the state %j does not exist: 422', async (status) => {
    expect(await change(1, status)).toHaveFaults('body/status');
  });
});

test('the body of a change is the state and nothing else', async () => {
  const { id } = await orderIn('PENDING');
  expect(await service.call('PUT', `/orders/${id}`, {})).toHaveFaults('body/status');
  const answer = await service.call('PUT', `/orders/${id}`, { status: 'PAID', total: 0 });
  expect(answer).toHaveFaults('body/total');
});

describe('DELETE /orders/{id} cancels', () => {
  test.each(['PENDING', 'PAID'] as const)(
    'a %s order: 204, the stock is back, the order stays',
    async (state) => {
      const { id, product_id } = await orderIn(state);
      const { status, text } = await service.call('DELETE', `/orders/${id}`);
      expect([status, text]).toEqual([204, '']);
      expect((await service.call('GET', `/orders/${id}`)).body.status).toBe('CANCELED');
      expect(await stockOf(product_id)).toEqual(STOCK_IN.CANCELED);
    },
  );

  test.each(['SHIPPED', 'CANCELED'] as const)('a %s order: 400', async (state) => {
    const { id, product_id } = await orderIn(state);
    const detail = `Invalid status transition from ${state} to CANCELED`;
    const answer = await service.call('DELETE', `/orders/${id}`);
    expect(answer).toBeProblem(400, 'invalid_status_transition', detail);
    expect(answer.body.allowed).toEqual([]);
    expect(await stockOf(product_id)).toEqual(STOCK_IN[state]);
  });

  test('twice: the stock comes back once', async () => {
    const { id, product_id } = await orderIn('PENDING');
    const statuses = [];
    for (let i = 0; i < 2; i++) statuses.push((await service.call('DELETE', `/orders/${id}`)).status);
    expect(statuses).toEqual([204, 400]);
    expect(await stockOf(product_id)).toEqual(STOCK_IN.CANCELED);
  });

  test('an unknown order: 404', async () => {
    expect(await service.call('DELETE', '/orders/999999')).toBeProblem(
      404,
      'order_not_found',
      'Order not found',
    );
  });
});

async function canceledEvent(id: number) {
  const [event] = await service.database.query<{ payload: { transition: unknown; order: unknown } }>(
    `select payload from events where type = 'order.canceled' and aggregate_id = $1`,
    [id],
  );
  return event?.payload;
}

describe('refund_due', () => {
  test('PAID → CANCELED: the order and its event say that the money must go back', async () => {
    const { id } = await orderIn('PAID');
    const { body } = await ENDPOINTS['PUT /orders/{id}'](id, 'CANCELED');
    expect(body.refund_due).toBe(true);
    expect((await service.call('GET', `/orders/${id}`)).body.refund_due).toBe(true);
    const payload = await canceledEvent(id);
    expect(payload?.transition).toEqual({ from: 'PAID', to: 'CANCELED', cause: 'request', refund_due: true });
    expect(payload?.order).toEqual(body);
  });

  test('PENDING → CANCELED: nothing was paid, so nothing is due', async () => {
    const { id } = await orderIn('PENDING');
    const { body } = await ENDPOINTS['PUT /orders/{id}'](id, 'CANCELED');
    expect(body).not.toHaveProperty('refund_due');
    expect((await canceledEvent(id))?.transition).toMatchObject({ refund_due: false });
  });
});

describe('If-Match on every write of an order', () => {
  const calls = [
    ['PUT', '', { status: 'CANCELED' }],
    ['PATCH', '/status', { status: 'CANCELED' }],
    ['DELETE', '', undefined],
  ] as const;

  test.each(calls)(
    '%s: 412 with the current state when stale, and it goes through when not',
    async (...call) => {
      const [method, path, body] = call;
      const { id } = await orderIn('PAID');
      const url = `/orders/${id}${path}`;
      const current = (await service.call('GET', `/orders/${id}`)).body;
      const answer = await service.call(method, url, body, { 'if-match': '"1"' });
      expect(answer).toBeProblem(412, 'version_mismatch');
      expect(answer.body.current).toEqual(current);
      expect(answer.headers.etag).toBe('"2"');
      expect((await service.call(method, url, body, { 'if-match': '"2"' })).status).toBeLessThan(300);
    },
  );
});

test('after 40 orders in every state, counters, ledger and events agree', async () => {
  for (let i = 0; i < 10; i++) for (const state of STATES) await orderIn(state);
  const [{ orders } = { orders: 0 }] = await service.database.query<{ orders: number }>(
    'select count(*)::int as orders from orders',
  );
  expect(orders).toBeGreaterThanOrEqual(40);
  await expectStockAddsUp(service.database);
});
