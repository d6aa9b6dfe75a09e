import { expect, test } from 'vitest';

import { answerInTurn, answerWith, useReceiver } from '../support/receivers.ts';
import { createEndpoint, deliveriesOf, endPauses, relayAll, useRelayService } from '../support/relay.ts';
import { useTestService } from '../support/service.ts';

const service = useRelayService();

interface Alert {
  type: string;
  aggregate_id: number;
  version: number;
  data: { endpoint: { id: number } };
}

/** The events of some types that are about an endpoint; from the table, for the feed may be held up by other tests. */
async function alertsOf(id: number, ...types: string[]) {
  const events = await service.database.query<Alert & Record<string, unknown>>(
    `select type, aggregate_id::int, aggregate_version::int as version, payload as data
       from events where type = any($1) order by events.id`,
    [types],
  );
  return events.filter(({ data }) => data.endpoint.id === id);
}

test('twelve pauses, then the dead letter, with an event that says which delivery failed and why', async () => {
  const receiver = await useReceiver(answerWith(500, {}, 'no room'));
  const { id } = await createEndpoint(service, receiver, { types: ['product.created'] });
  await service.createProduct();
  for (let tries = 1; tries <= 13; tries++) {
    expect(await relayAll(service)).toBe(1);
    await endPauses(service);
  }
  expect(await relayAll(service)).toBe(0);
  const { body: dead } = await service.call('GET', '/dead-letters');
  expect(dead).toMatchObject([{ endpoint_id: id, status: 'dead', event_type: 'product.created' }]);
  expect(dead[0].attempts).toHaveLength(13);
  const alerts = await alertsOf(id, 'endpoint.failing', 'delivery.failed');
  const delivery = {
    id: dead[0].id,
    event_id: dead[0].event_id,
    status: 500,
    error: 'The receiver answered 500',
  };
  expect(alerts).toMatchObject([
    {
      type: 'endpoint.failing',
      aggregate_id: id,
      data: { endpoint: { id }, delivery: { ...delivery, tries: 6 } },
    },
    { type: 'delivery.failed', aggregate_id: dead[0].id, data: { delivery: { ...delivery, tries: 13 } } },
  ]);
  expect((await service.call('GET', `/webhook-endpoints/${id}`)).body.failing_since).toMatch(/Z$/);
});

test('an endpoint that fails and then answers has recovered: told once, and not to itself', async () => {
  const bad = await useReceiver(answerInTurn(500, 500, 500, 500, 500, 500, 200));
  const other = await useReceiver(answerWith(200));
  const types = ['endpoint.failing', 'endpoint.recovered'];
  const { id } = await createEndpoint(service, bad, { types: ['product.created', ...types] });
  await createEndpoint(service, other, { types });
  await service.createProduct();
  for (let i = 0; i < 9; i++) {
    await relayAll(service);
    await endPauses(service);
  }
  const told = other.received.map(({ body }) => JSON.parse(body));
  expect(told.map(({ type, aggregate_id }) => [type, aggregate_id])).toEqual([
    ['endpoint.failing', id],
    ['endpoint.recovered', id],
  ]);
  const toItself = bad.received.map(({ body }) => JSON.parse(body).type);
  expect(new Set(toItself)).toEqual(new Set(['product.created']));
  expect((await service.call('GET', `/webhook-endpoints/${id}`)).body.failing_since).toBeNull();
});

test('two endpoints that refuse everything do not tell each other for ever', async () => {
  const receiver = await useReceiver(answerWith(400));
  await createEndpoint(service, receiver);
  await createEndpoint(service, receiver);
  await service.createProduct();
  let tries = 0;
  let last: number;
  do {
    last = await relayAll(service);
    tries += last;
  } while (last > 0);
  // The product twice, the creation of the second to the first, and the dead letters of the product to the other.
  expect(tries).toBeLessThanOrEqual(6);
});

test('410 disables: nothing more is sent, nothing is lost, and enabling sends it all', async () => {
  const receiver = await useReceiver(answerInTurn(410, 200));
  const { id } = await createEndpoint(service, receiver, { types: ['product.created'] });
  await service.createProduct();
  await relayAll(service);
  const disabled = (await service.call('GET', `/webhook-endpoints/${id}`)).body;
  expect(disabled.status).toBe('disabled');
  expect(await alertsOf(id, 'endpoint.disabled')).toMatchObject([
    { aggregate_id: id, version: disabled.version, data: { delivery: { status: 410 } } },
  ]);
  await service.createProduct();
  expect(await relayAll(service)).toBe(0);
  await service.call('PATCH', `/webhook-endpoints/${id}`, { status: 'enabled' });
  expect(await relayAll(service)).toBe(2);
  const deliveries = await deliveriesOf(service, 'status=delivered');
  expect(deliveries).toHaveLength(2);
  expect(await alertsOf(id, 'endpoint.recovered')).toHaveLength(1);
});

test('metrics say what waits, what died and what was tried', async () => {
  const own = await useTestService();
  const receiver = await useReceiver(answerInTurn(200, 404, 503));
  await createEndpoint(own, receiver, { types: ['product.created'], ordering: 'none' });
  for (let i = 0; i < 3; i++) {
    await own.createProduct();
    await relayAll(own);
  }
  const { text } = await own.call('GET', '/metrics');
  expect(text).toContain('\nwebhook_deliveries_pending 1\n');
  expect(text).toContain('\nwebhook_dead_letters 1\n');
  expect(text).toMatch(/\nwebhook_outbox_lag_seconds [\d.e-]+\n/);
  for (const outcome of ['delivered', 'dead', 'retry']) {
    expect(text).toContain(`\nwebhook_attempts_total{outcome="${outcome}"} 1\n`);
  }
  expect(text).toContain('\nwebhook_relay_batch_size_count 3\n');
  expect(text).not.toContain(String(receiver.port));
});
