import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { answerInTurn, answerWith, useReceiver } from '../support/receivers.ts';
import { createEndpoint, deliveriesOf, endPauses, relayAll, useRelayService } from '../support/relay.ts';

const service = useRelayService();

const NO_HEADERS: Record<string, string> = {};

describe('sending again', () => {
  test('one delivery, with the same webhook-id and a new series of tries; one that is pending is 409', async () => {
    const receiver = await useReceiver(answerInTurn(404, 503, 200));
    await createEndpoint(service, receiver);
    await service.createProduct();
    await relayAll(service);
    const [dead] = await deliveriesOf(service, 'status=dead');
    const path = `/webhook-deliveries/${dead?.id}`;
    const again = await service.call('POST', `${path}/resend`);
    expect([again.status, again.body.status]).toEqual([202, 'pending']);
    expect(await service.call('POST', `${path}/resend`)).toBeProblem(409, 'delivery_pending');
    await relayAll(service);
    await endPauses(service);
    await relayAll(service);
    const { body } = await service.call('GET', path);
    expect([body.status, body.attempts.map(({ status }: { status: number }) => status)]).toEqual([
      'delivered',
      [404, 503, 200],
    ]);
    const ids = receiver.received.slice(0, 3).map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids)).toEqual(new Set([dead?.event_id]));
    expect(await service.call('POST', '/webhook-deliveries/999/resend')).toBeProblem(
      404,
      'delivery_not_found',
    );
  });

  test('dead letters of an endpoint and a time, as a job that goes on where it stood', async () => {
    const receiver = await useReceiver(answerWith(404));
    const [one, two] = [await createEndpoint(service, receiver), await createEndpoint(service, receiver)];
    const types = ['product.created'];
    for (const { id } of [one, two]) await service.call('PATCH', `/webhook-endpoints/${id}`, { types });
    await service.createProduct();
    await service.createProduct();
    await relayAll(service);
    const { body: dead } = await service.call('GET', `/dead-letters?endpoint_id=${one.id}`);
    const products = dead.filter(
      ({ event_type }: { event_type: string }) => event_type === 'product.created',
    );
    expect(products).toHaveLength(2);
    const key = { 'idempotency-key': 'resend' };
    const body = { endpoint_id: one.id, from: products[0].settled_at };
    const started = await service.call('POST', '/dead-letters/resend', body, key);
    expect([started.status, started.body.status, started.body.resent]).toEqual([202, 'running', 0]);
    expect((await service.call('POST', '/dead-letters/resend', body, key)).body).toEqual(started.body);
    await service.services.resends.workOnce();
    const { body: done } = await service.call('GET', `/dead-letters/resends/${started.body.id}`);
    expect(done).toMatchObject({ status: 'done', resent: expect.any(Number) });
    expect(done.resent).toBeGreaterThanOrEqual(2);
    const pending = await deliveriesOf(service, 'status=pending');
    expect(new Set(pending.map(({ endpoint_id }) => endpoint_id))).toEqual(new Set([one.id]));
    expect(pending).toHaveLength(done.resent);
    const unknown = await service.call('POST', '/dead-letters/resend', { endpoint_id: 999 });
    expect(unknown).toBeProblem(404, 'endpoint_not_found');
    expect(await service.call('GET', '/dead-letters/resends/999')).toBeProblem(404, 'resend_not_found');
  });

  test('2,500 dead letters in batches: each once, whatever is interrupted', async () => {
    const { id } = await createEndpoint(service, await useReceiver(answerWith(200)));
    await service.database.query(
      `with m as (
         insert into webhook_messages (event_id, event_type, body)
         select 'e' || n, 'order.paid', '{}' from generate_series(1, 2500) n returning id
       )
       insert into webhook_deliveries (endpoint_id, message_id, aggregate_type, aggregate_id, status, settled_at)
       select $1, id, 'order', id, 'dead', now() from m`,
      [id],
    );
    const { body: job } = await service.call('POST', '/dead-letters/resend', {});
    // Stops after its first batch, as a restart does between two.
    await service.services.resends.workOnce(() => true);
    const count = async (status: string) =>
      (await service.database.query(`select from webhook_deliveries where status = '${status}'`)).length;
    expect([await count('pending'), await count('dead')]).toEqual([1000, 1500]);
    await service.services.resends.workOnce();
    expect((await service.call('GET', `/dead-letters/resends/${job.id}`)).body.resent).toBe(2500);
    expect(await count('dead')).toBe(0);
  });
});

test('a ping is signed, tried once, and refused past ten a minute', async () => {
  const receiver = await useReceiver(answerInTurn(500, 200));
  const { id, secret } = await createEndpoint(service, receiver);
  const { status, body } = await service.call('POST', `/webhook-endpoints/${id}/ping`);
  expect([status, body.event_type, body.status]).toEqual([202, 'endpoint.ping', 'pending']);
  await relayAll(service);
  const failed = (await service.call('GET', `/webhook-deliveries/${body.id}`)).body;
  expect([failed.status, failed.attempts.length]).toEqual(['dead', 1]);
  const { headers, body: text } = receiver.received[0] ?? { headers: NO_HEADERS, body: '' };
  expect(new Webhook(secret).verify(text, headers)).toMatchObject({
    type: 'endpoint.ping',
    id: body.event_id,
  });
  const statuses = [];
  for (let i = 0; i < 10; i++) {
    statuses.push((await service.call('POST', `/webhook-endpoints/${id}/ping`)).status);
  }
  expect(statuses).toEqual([...Array.from({ length: 9 }, () => 202), 429]);
  expect(await service.call('POST', '/webhook-endpoints/999/ping')).toBeProblem(404, 'endpoint_not_found');
});

test('old deliveries that arrived are deleted with their messages; pending and dead ones stay; of a deleted endpoint all go', async () => {
  const receiver = await useReceiver(answerInTurn(200, 404, 500));
  const { id } = await createEndpoint(service, receiver, { types: ['product.created'], ordering: 'none' });
  for (let i = 0; i < 3; i++) {
    await service.createProduct();
    await relayAll(service);
  }
  await service.database.query("update webhook_deliveries set settled_at = settled_at - interval '31 days'");
  await service.services.deliveries.purge();
  const statuses = (await deliveriesOf(service, '')).map(({ status }) => status);
  expect(statuses).toEqual(['dead', 'pending']);
  expect(await service.database.query('select from webhook_messages')).toHaveLength(2);
  await service.call('DELETE', `/webhook-endpoints/${id}`);
  expect(await deliveriesOf(service, '')).toEqual([]);
  await service.services.deliveries.purge();
  for (const table of ['webhook_deliveries', 'webhook_messages', 'webhook_endpoints']) {
    expect(await service.database.query(`select from ${table}`)).toEqual([]);
  }
});
