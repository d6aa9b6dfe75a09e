import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';

import { answerInTurn, answerWith, useReceiver } from '../support/receivers.ts';
import { createEndpoint, deliveriesOf, endPauses, relayAll, useRelayService } from '../support/relay.ts';
import { useTestService } from '../support/service.ts';

const service = useRelayService();

const NO_HEADERS: Record<string, string> = {};

async function placeOrders(count: number): Promise<number[]> {
  const { id } = await service.createProduct();
  const ids = [];
  for (let i = 0; i < count; i++) ids.push((await service.placeOrder(id, 1)).id);
  return ids;
}

test('a change arrives signed, as its event of the feed, and with its time', async () => {
  const receiver = await useReceiver(answerWith(200));
  await service.createProduct();
  const { id, secret } = await createEndpoint(service, receiver);
  const product = await service.createProduct({ name: 'Ä mug' });
  expect(await relayAll(service)).toBe(1);
  const { headers, body } = receiver.received[0] ?? { headers: NO_HEADERS, body: '' };
  const sent = new Webhook(secret).verify(body, headers) as Record<string, unknown>;
  const { body: feed } = await service.call('GET', '/events?types=product.created&limit=1000');
  const event = feed.at(-1);
  expect(sent).toEqual({ ...event, timestamp: event.occurred_at });
  expect([headers['webhook-id'], event.aggregate_id]).toEqual([event.id, product.id]);
  const [delivery] = await deliveriesOf(service, `endpoint_id=${id}`);
  expect(delivery).toMatchObject({
    event_id: event.id,
    event_type: 'product.created',
    status: 'delivered',
    next_attempt_at: null,
    attempts: [{ status: 200, error: null, response: '' }],
  });
});

test('500, 500, 200: delivered on the third try, after 1 and 2 s, with the same webhook-id', async () => {
  const receiver = await useReceiver(answerInTurn(500, 500, 200));
  await createEndpoint(service, receiver);
  await service.createProduct();
  const pauses = [];
  for (let i = 0; i < 3; i++) {
    expect(await relayAll(service)).toBe(1);
    const [row] = await service.database.query<{ pause: number }>(
      'select extract(epoch from due_at - now())::float8 as pause from webhook_deliveries',
    );
    pauses.push(row?.pause ?? 0);
    expect(await relayAll(service)).toBe(0);
    await endPauses(service);
  }
  const [delivery] = await deliveriesOf(service, '');
  expect(delivery?.attempts.map(({ status }) => status)).toEqual([500, 500, 200]);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  // The time between the two statements only shortens what is left of a pause.
  expect(pauses[0]).toBeLessThanOrEqual(1.2);
  expect(pauses[1]).toBeLessThanOrEqual(2.4);
  expect(pauses[1]).toBeGreaterThan(0);
});

test.each([
  [301, 'dead'],
  [404, 'dead'],
  [503, 'pending'],
])('%i: %s', async (status, expected) => {
  const receiver = await useReceiver(
    answerWith(status, { location: 'https://elsewhere.example/' }, 'because'),
  );
  await createEndpoint(service, receiver);
  await service.createProduct();
  await relayAll(service);
  const [delivery] = await deliveriesOf(service, '');
  expect(delivery?.status).toBe(expected);
  expect(delivery?.attempts).toMatchObject([
    { status, response: 'because', error: expect.stringContaining(String(status)) },
  ]);
});

test('429 with Retry-After: not before that time', async () => {
  await createEndpoint(service, await useReceiver(answerWith(429, { 'retry-after': '3600' })));
  await service.createProduct();
  await relayAll(service);
  const [row] = await service.database.query<{ pause: number }>(
    'select extract(epoch from due_at - settled)::float8 as pause from (select due_at, (attempts -> 0 ->> $1)::timestamptz as settled from webhook_deliveries) d',
    ['at'],
  );
  expect(row?.pause).toBeGreaterThan(3598);
});

test('a pause loses nothing', async () => {
  const receiver = await useReceiver(answerWith(200));
  const { id } = await createEndpoint(service, receiver, { types: ['order.created'] });
  await service.call('PATCH', `/webhook-endpoints/${id}`, { status: 'paused' });
  const orders = await placeOrders(5);
  expect(await relayAll(service)).toBe(0);
  await service.call('PATCH', `/webhook-endpoints/${id}`, { status: 'enabled' });
  expect(await relayAll(service)).toBe(5);
  const sent = receiver.received.map(({ body }) => JSON.parse(body).aggregate_id);
  expect(new Set(sent)).toEqual(new Set(orders));
  expect(sent).toHaveLength(orders.length);
});

test('an endpoint gets what was written after its creation, also beside an endpoint that is older', async () => {
  const [first, second] = [await useReceiver(answerWith(200)), await useReceiver(answerWith(200))];
  const types = ['product.created'];
  await createEndpoint(service, first, { types });
  const before = await service.createProduct();
  // Not copied yet: the place of the consumer says nothing of what the second one may have.
  await createEndpoint(service, second, { types });
  const after = await service.createProduct();
  await relayAll(service);
  const idsAt = ({ received }: typeof first) => received.map(({ body }) => JSON.parse(body).aggregate_id);
  expect(new Set(idsAt(first))).toEqual(new Set([before.id, after.id]));
  expect(idsAt(second)).toEqual([after.id]);
});

test('a rotated secret signs, and for a day the one before does, too', async () => {
  const receiver = await useReceiver(answerWith(200));
  const { id, secret } = await createEndpoint(service, receiver, { types: ['product.created'] });
  const { body: rotated } = await service.call('POST', `/webhook-endpoints/${id}/rotate`);
  const verifies = async (key: string) => {
    await service.createProduct();
    await relayAll(service);
    const { body, headers } = receiver.received.at(-1) ?? { body: '', headers: NO_HEADERS };
    try {
      new Webhook(key).verify(body, headers);
      return true;
    } catch {
      return false;
    }
  };
  expect([await verifies(rotated.secret), await verifies(secret)]).toEqual([true, true]);
  await service.database.query("update webhook_endpoints set secret_previous_until = now() - interval '1 s'");
  expect([await verifies(rotated.secret), await verifies(secret)]).toEqual([true, false]);
});

test('without endpoints, the log is not even read', async () => {
  const own = await useTestService();
  await own.createProduct();
  await own.services.relay.fanOutOnce();
  const [place] = await own.database.query<{ transaction_id: string }>('select * from event_consumers');
  expect(place?.transaction_id).toBe('0');
});
