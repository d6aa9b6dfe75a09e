import { expect, inject, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import {
  eventsOf,
  expectOnlyLateRefusals,
  recordFailures,
  tally,
  together,
  untilServed,
} from '../support/race.ts';
import { type Answer, type TestService, useTestService } from '../support/service.ts';

const statusesOf = (answers: Answer[]) => answers.map(({ body }) => body.status as string).toSorted();

test('one payment event and 40 deliveries: 1 is processed, 39 are already_processed', async () => {
  const service = await useTestService();
  const { id: productId } = await service.createProduct();
  const order = await service.placeOrder(productId, 2);
  const event = { event_type: 'payment.succeeded', order_id: order.id, event_id: 'evt-1', amount: 20 };
  const answers = await together(40, () => service.pay(event));
  expect(tally(answers)).toEqual({ 200: 40 });
  expect(statusesOf(answers)).toEqual([...Array<string>(39).fill('already_processed'), 'processed']);
  expect(await eventsOf(service, order.id)).toEqual(['order.created 1', 'order.paid 2']);
  expect(await service.database.query('select from payment_exceptions')).toHaveLength(0);
  await expectStockAddsUp(service.database);
});

test('40 deliveries of one failed payment at two instances release the stock once', async () => {
  const service = await useTestService();
  const other = await useTestService({ database: service.database });
  const { id: productId } = await service.createProduct({ stock: 5 });
  const order = await service.placeOrder(productId, 5);
  const event = { event_type: 'payment.failed', order_id: order.id, event_id: 'evt-2' };
  const answers = await together(40, (delivery) => (delivery % 2 === 0 ? service : other).pay(event));
  expect(statusesOf(answers)).toEqual([...Array<string>(39).fill('already_processed'), 'processed']);
  const { body } = await service.call('GET', `/products/${productId}`);
  expect(body).toMatchObject({ stock: 5, reserved: 0, on_hand: 5 });
  await expectStockAddsUp(service.database);
});

test('20 deliveries of an event of an unused type and 20 of one for an unknown order: 1 ignored, 20 times 404', async () => {
  const service = await useTestService();
  const unused = { event_type: 'payment.pending', order_id: 1, event_id: 'evt-3' };
  const unknown = { event_type: 'payment.succeeded', order_id: 1, event_id: 'evt-4' };
  const answers = await together(40, (delivery) => service.pay(delivery % 2 === 0 ? unused : unknown));
  expect(tally(answers)).toEqual({ 200: 20, 404: 20 });
  const known = answers.filter(({ status }) => status === 200);
  expect(statusesOf(known)).toEqual([...Array<string>(19).fill('already_processed'), 'ignored']);
  expect(
    await service.database.query("select identity from inbound_deliveries where outcome <> 'failed'"),
  ).toEqual([{ identity: 'event:evt-3' }]);
});

test('one event id in 30 events of 3 orders: exactly 1 order is paid', async () => {
  const service = await useTestService();
  const { id: productId } = await service.createProduct();
  const orders = await together(3, () => service.placeOrder(productId, 1));
  const answers = await together(30, (delivery) =>
    service.pay({ event_type: 'payment.succeeded', order_id: orders[delivery % 3]?.id, event_id: 'evt-5' }),
  );
  expect(statusesOf(answers)).toEqual([
    ...Array<string>(27).fill('already_processed'),
    'processed',
    // The first one for each other order says something else than the event that is known.
    'review',
    'review',
  ]);
  const { body } = await service.call('GET', '/orders?status=PAID');
  expect(body).toHaveLength(1);
  await expectStockAddsUp(service.database);
});

test('200 orders, each paid by PUT and by 3 equal webhooks at once: one PAID and one order.paid event each', async () => {
  const service = await useTestService();
  const { id: productId } = await service.createProduct({ stock: 200 });
  const outcomes = new Set<string>();
  const failures = recordFailures(service);
  const refusals: Answer[] = [];
  // Two at a time, so that the four calls of an order are at the database together.
  for (let round = 0; round < 100; round++) {
    await together(2, async (index) => {
      const { id, total } = await service.placeOrder(productId, 1);
      const event = { event_type: 'payment.succeeded', order_id: id, event_id: `pay-${id}`, amount: total };
      const put = () => service.call('PUT', `/orders/${id}`, { status: 'PAID' });
      const webhook = () => service.pay(event);
      const calls = [put, webhook, webhook, webhook, put, webhook, webhook].slice((round + index) % 4);
      const served = calls.slice(0, 4).map((call) => () => untilServed(call, refusals));
      // In the first round one call goes ahead, the PUT of one order and a webhook of the other, so that both outcomes
      // are seen at any speed of the machine.
      const ahead = round === 0 ? [await served.shift()?.()] : [];
      const answers = [...ahead, ...(await Promise.all(served.map((call) => call())))] as Answer[];
      // Whoever comes second finds it paid: the staff is refused, or the webhook is the payment that the staff spoke of.
      const outcome = answers
        .map(({ status, body }) => (status === 200 ? (body.outcome ?? body.status) : body.code) as string)
        .toSorted()
        .join();
      expect([
        'PAID,processed,processed,processed',
        'invalid_status_transition,processed,processed,processed',
      ]).toContain(outcome);
      outcomes.add(outcome);
      expect(await eventsOf(service, id)).toEqual(['order.created 1', 'order.paid 2']);
    });
  }
  expect(outcomes.size).toBe(2);
  // The statements of other processes cannot be seen.
  if (inject('inProcesses') !== true) expectOnlyLateRefusals(failures, refusals);
  const { body } = await service.call('GET', '/orders?status=PAID&limit=1000');
  expect(body).toHaveLength(200);
  await expectStockAddsUp(service.database);
});

const types = ['succeeded', 'failed', 'refunded'] as const;
const permutations = types.flatMap((first) =>
  types
    .filter((second) => second !== first)
    .map((second) => [first, second, types.find((third) => third !== first && third !== second) ?? first]),
);

/** What the rules say when the events come one after the other, each named by its outcome. */
const serialOutcomes = new Map([
  ['succeeded,failed,refunded', { succeeded: 'processed', failed: 'ignored', refunded: 'processed' }],
  ['succeeded,refunded,failed', { succeeded: 'processed', failed: 'ignored', refunded: 'processed' }],
  ['failed,succeeded,refunded', { succeeded: 'review', failed: 'processed', refunded: 'processed' }],
  ['failed,refunded,succeeded', { succeeded: 'processed', failed: 'processed', refunded: 'review' }],
  ['refunded,succeeded,failed', { succeeded: 'processed', failed: 'ignored', refunded: 'review' }],
  ['refunded,failed,succeeded', { succeeded: 'processed', failed: 'processed', refunded: 'review' }],
]);

async function deliver(service: TestService, order: { id: number; total: number }, type: string) {
  const event = { event_type: `payment.${type}`, order_id: order.id, amount: order.total };
  const { status, body } = await service.pay({ ...event, event_id: `${type}-${order.id}` });
  return [type, status === 200 ? (body.status as string) : String(status)];
}

test.each(permutations.map((order) => order.join()))(
  'events %s one by one and 10 times in parallel: canceled, stock back, each has one effect of a legal sequence',
  async (permutation) => {
    const service = await useTestService();
    const { id: productId } = await service.createProduct({ stock: 11 });
    const sequence = permutation.split(',');
    const [one, ...others] = await together(11, () => service.placeOrder(productId, 1));
    const outcomes: string[][] = [];
    for (const type of sequence) outcomes.push(await deliver(service, one ?? { id: 0, total: 0 }, type));
    expect(Object.fromEntries(outcomes)).toEqual(serialOutcomes.get(permutation));

    await Promise.all(
      others.map(async (order) => {
        const parallel = await Promise.all(sequence.map((type) => deliver(service, order, type)));
        expect([...serialOutcomes.values()]).toContainEqual(Object.fromEntries(parallel));
      }),
    );
    const { body } = await service.call('GET', '/orders?status=CANCELED');
    expect(body).toHaveLength(11);
    const product = await service.call('GET', `/products/${productId}`);
    expect(product.body).toMatchObject({ stock: 11, reserved: 0, on_hand: 11 });
    await expectStockAddsUp(service.database);
  },
);
