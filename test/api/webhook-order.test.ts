import { expect, test } from 'vitest';

import { answerInTurn, useReceiver } from '../support/receivers.ts';
import { createEndpoint, deliveriesOf, relayAll, useRelayService } from '../support/relay.ts';

const service = useRelayService();

async function placeOrders(count: number): Promise<number[]> {
  const { id } = await service.createProduct();
  const ids = [];
  for (let i = 0; i < count; i++) ids.push((await service.placeOrder(id, 1)).id);
  return ids;
}

function life(id: number): string[] {
  return ['order.created', 'order.paid', 'order.shipped'].map((type) => `${id} ${type}`);
}

/** Two orders are placed, paid and shipped; the first event of the first one fails at first. */
async function failFirst(ordering: 'per_aggregate' | 'none') {
  let broken = 0;
  const arrived: string[] = [];
  const receiver = await useReceiver(({ body }, response) => {
    const { aggregate_id, type } = JSON.parse(body);
    arrived.push(`${aggregate_id} ${type}`);
    response.writeHead(aggregate_id === broken && type === 'order.created' ? 500 : 200).end();
  });
  await createEndpoint(service, receiver, {
    ordering,
    types: ['order.created', 'order.paid', 'order.shipped'],
  });
  const [first = 0, second = 0] = await placeOrders(2);
  broken = first;
  for (const id of [first, second]) {
    await service.call('PUT', `/orders/${id}`, { status: 'PAID' });
    await service.call('PUT', `/orders/${id}`, { status: 'SHIPPED' });
  }
  await relayAll(service);
  const before = arrived.splice(0);
  broken = 0;
  await service.database.query('update webhook_deliveries set due_at = now() where tries > 0');
  await relayAll(service);
  return { first: life(first), second: life(second), before, after: arrived };
}

test('per_aggregate: one that fails holds up itself and what follows on its order, and nothing else', async () => {
  const { first, second, before, after } = await failFirst('per_aggregate');
  expect(before.filter((event) => first.includes(event))).toEqual(first.slice(0, 1));
  expect(before.filter((event) => second.includes(event))).toEqual(second);
  // Its followers do not wait for a pause of their own.
  expect(after).toEqual(first);
});

test('none: nothing waits', async () => {
  const { first, before, after } = await failFirst('none');
  expect(before).toHaveLength(6);
  expect(after).toEqual(first.slice(0, 1));
});

test('a dead letter no longer holds up what follows', async () => {
  const receiver = await useReceiver(answerInTurn(400, 200));
  await createEndpoint(service, receiver, { types: ['order.created', 'order.paid'] });
  const [id] = await placeOrders(1);
  await service.call('PUT', `/orders/${id}`, { status: 'PAID' });
  expect(await relayAll(service)).toBe(2);
  expect((await deliveriesOf(service, '')).map(({ status }) => status)).toEqual(['dead', 'delivered']);
});
