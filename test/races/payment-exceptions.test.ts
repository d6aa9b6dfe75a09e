import { expect, test } from 'vitest';

import { inboxOf, nextOrderId, replay } from '../support/inbox.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { eventsOf, tally, together, useRacingService } from '../support/race.ts';
import type { TestService } from '../support/service.ts';

function exceptionEvents({ database }: TestService, id: number) {
  return database.query<{ type: string; note: string | null }>(
    `select type, payload->'exception'->>'note' as note
       from events where aggregate_type = 'payment_exception' and aggregate_id = $1 order by id`,
    [id],
  );
}

async function openException(service: TestService): Promise<number> {
  const { id: productId } = await service.createProduct();
  const { id } = await service.placeOrder(productId, 1);
  await service.pay({ event_type: 'payment.succeeded', order_id: id, amount: 1 });
  return (await service.call('GET', `/payments/exceptions?order_id=${id}`)).body[0].id;
}

test('50 people at two instances resolve one exception at once: 1 wins, 49 are told by whom, 1 event', async () => {
  const service = await useRacingService();
  const other = await useRacingService({ database: service.database });
  const id = await openException(service);
  const names = ['refunded', 'accepted', 'written_off', 'other'];
  const answers = await together(50, (n) =>
    (n % 2 === 0 ? service : other).call('POST', `/payments/exceptions/${id}/resolve`, {
      resolution: names[n % 4],
      note: `by ${n}`,
    }),
  );
  expect(tally(answers)).toEqual({ 200: 1, 409: 49 });
  const winner = answers.find(({ status }) => status === 200)?.body;
  const others = answers.filter(({ status }) => status === 409);
  expect(others.map(({ body }) => body.current)).toEqual(Array(49).fill(winner));
  expect((await service.call('GET', `/payments/exceptions/${id}`)).body).toEqual(winner);
  expect((await exceptionEvents(service, id)).slice(1)).toEqual([
    { type: 'payment.review_resolved', note: winner.note },
  ]);
});

test('one person’s call 50 times at once under one Idempotency-Key: 50 times the same answer, 1 event', async () => {
  const service = await useRacingService();
  const id = await openException(service);
  const answers = await together(50, () =>
    service.call(
      'POST',
      `/payments/exceptions/${id}/resolve`,
      { resolution: 'refunded' },
      { 'idempotency-key': 'once' },
    ),
  );
  expect(tally(answers)).toEqual({ 200: 50 });
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(49);
  expect(await exceptionEvents(service, id)).toHaveLength(2);
});

test('30 kept refunds, each resolved by a person while its payment comes: one of the two ways, never both', async () => {
  const service = await useRacingService();
  const { id: productId } = await service.createProduct({ stock: 30 });
  const ends = await together(
    30,
    async (n) => {
      const { id, total } = await service.placeOrder(productId, 1);
      await service.pay({ event_type: 'payment.refunded', order_id: id, amount: total, event_id: `r-${id}` });
      const exception = (await service.call('GET', `/payments/exceptions?order_id=${id}`)).body[0].id;
      const person = () =>
        service.call('POST', `/payments/exceptions/${exception}/resolve`, { resolution: 'accepted' });
      const payment = () =>
        n % 2 === 0
          ? service.pay({ event_type: 'payment.succeeded', order_id: id, amount: total, event_id: `s-${id}` })
          : service.call('PUT', `/orders/${id}`, { status: 'PAID' });
      const calls = [payment, person];
      const answers = await Promise.all((n % 3 === 0 ? calls.toReversed() : calls).map((call) => call()));
      expect(await exceptionEvents(service, exception)).toHaveLength(2);
      const { resolution } = (await service.call('GET', `/payments/exceptions/${exception}`)).body;
      const { status } = (await service.call('GET', `/orders/${id}`)).body;
      const statuses = answers.map((answer) => String(answer.status)).toSorted();
      return `${status} ${resolution} ${statuses.join()}`;
    },
    4,
  );
  for (const end of ends) expect(['CANCELED accepted 200,200', 'CANCELED settled 200,409']).toContain(end);
  await expectStockAddsUp(service.database);
});

test('a kept refund, and its payment by webhook and by hand at once, 20 times: paid and canceled once, resolved once', async () => {
  const service = await useRacingService();
  const { id: productId } = await service.createProduct({ stock: 20 });
  await together(
    20,
    async () => {
      const { id, total } = await service.placeOrder(productId, 1);
      const event = { order_id: id, amount: total };
      await service.pay({ ...event, event_type: 'payment.refunded', event_id: `r-${id}` });
      await Promise.all([
        service.call('PUT', `/orders/${id}`, { status: 'PAID' }),
        service.pay({ ...event, event_type: 'payment.succeeded', event_id: `s-${id}` }),
      ]);
      expect(await eventsOf(service, id)).toEqual(['order.created 1', 'order.paid 3', 'order.canceled 3']);
      const { body } = await service.call('GET', `/payments/exceptions?order_id=${id}&status=RESOLVED`);
      expect(body).toMatchObject([{ reason: 'refund_before_payment', resolution: 'settled' }]);
    },
    4,
  );
  await expectStockAddsUp(service.database);
});

test('20 replays and 20 retries of the provider at two instances at once: one effect, one row, no failure left', async () => {
  const service = await useRacingService();
  const other = await useRacingService({ database: service.database });
  const { id: productId } = await service.createProduct({ stock: 20 });
  for (let round = 0; round < 5; round++) {
    const orderId = await nextOrderId(service);
    const event = { event_type: 'payment.succeeded', order_id: orderId, event_id: `e-${orderId}` };
    await service.pay(event);
    const [{ id }] = await inboxOf(service, `event_id=e-${orderId}`);
    await service.placeOrder(productId, 1);
    const answers = await together(40, (n) => {
      const instance = n % 4 < 2 ? service : other;
      return n % 2 === 0 ? replay(instance, id) : instance.pay(event);
    });
    const outcomes = answers.map(({ body }) => (body.status === 409 ? body.code : body.status));
    expect(outcomes.filter((outcome) => outcome === 'processed')).toHaveLength(1);
    for (const [n, outcome] of outcomes.entries()) {
      const second = ['already_processed', ...(n % 2 === 0 ? ['inbound_delivery_not_failed'] : [])];
      expect(['processed', ...second]).toContain(outcome);
    }
    expect(await eventsOf(service, orderId)).toEqual(['order.created 1', 'order.paid 2']);
    // The failed delivery, and the 20 of the provider.
    expect(await inboxOf(service, `order_id=${orderId}`)).toMatchObject([
      { id, outcome: 'processed', deliveries: 21 },
    ]);
  }
  expect(await service.database.query("select from inbound_deliveries where outcome = 'failed'")).toEqual([]);
  await expectStockAddsUp(service.database);
});

/** Mixed, and not in turns. */
const eventOf = (n: number) => `e-${(n * 5 + (n >> 3)) % 6}`;

test('150 deliveries of 6 events in mixed order at two instances: all are answered, and every one is counted', async () => {
  const service = await useRacingService();
  const other = await useRacingService({ database: service.database });
  // Unused types, so that no lock of an order keeps their deliveries apart.
  const answers = await together(150, (n) =>
    (n % 2 === 0 ? service : other).pay({ event_type: 'payment.created', event_id: eventOf(n) }),
  );
  expect(tally(answers)).toEqual({ 200: 150 });
  const sent: Record<string, number> = {};
  for (let n = 0; n < 150; n++) sent[`event:${eventOf(n)}`] = (sent[`event:${eventOf(n)}`] ?? 0) + 1;
  const rows = await inboxOf(service);
  expect(Object.fromEntries(rows.map(({ identity, deliveries }) => [identity, deliveries]))).toEqual(sent);
});

test('failures of one event at two instances are one row, and all are counted', async () => {
  const service = await useRacingService();
  const other = await useRacingService({ database: service.database });
  const event = { event_type: 'payment.succeeded', order_id: 999_999, event_id: 'unknown' };
  await together(60, (n) => (n % 2 === 0 ? service : other).pay(event));
  await Promise.all([service.services.inbox.flush(), other.services.inbox.flush()]);
  expect(await inboxOf(service)).toMatchObject([{ outcome: 'failed', deliveries: 60 }]);
});
