import { expect, test } from 'vitest';

import type { OutgoingEvent, OutgoingPage } from '../../src/events/feed.service.ts';
import { comparePositions, LOG_START, type Position } from '../../src/events/position.ts';
import { connectForeign } from '../support/baskets.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

function read(after: Position, types?: string[], limit = 100): Promise<OutgoingPage> {
  return service.services.readEvents(service.own.db, after, { types, limit });
}

/** Reads on until the last of these events is there: the transactions of other tests may hold the horizon for a while. */
async function readUntil(after: Position, type: string, aggregateId: number): Promise<OutgoingEvent[]> {
  const events: OutgoingEvent[] = [];
  let next = after;
  await expect
    .poll(async () => {
      const page = await read(next);
      events.push(...page.events);
      ({ next } = page);
      return events.some(({ event }) => event.type === type && event.aggregate_id === aggregateId);
    })
    .toBe(true);
  return events;
}

const insertEvent = `
  insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload)
  values ($1, 'order', $2, 1, 'test', '{}')`;

test('an event that commits after a later one is never skipped: the feed ends before the transaction that is open', async () => {
  const [early, late] = [await connectForeign(service.database), await connectForeign(service.database)];
  await early.query('begin');
  await early.query(insertEvent, ['test.early', 901]);
  await late.query(insertEvent, ['test.late', 902]);
  // A reader that goes by ids would show the late one now, and never the early one.
  const shown = await service.database.query(`select type from events where type like 'test.%'`);
  expect(shown).toEqual([{ type: 'test.late' }]);
  const before = await read(LOG_START);
  expect(before.events.filter(({ event }) => event.type.startsWith('test.'))).toEqual([]);
  await early.query('commit');
  const after = await readUntil(before.next, 'test.late', 902);
  expect(after.map(({ event }) => event.type)).toEqual(['test.early', 'test.late']);
});

test('pages of one lead through 40 writers of four connections, each event once, in the order of their positions', async () => {
  const { next: start } = await read(LOG_START, undefined, 1000);
  const product = await service.createProduct({ stock: 1000 });
  await Promise.all([
    ...Array.from({ length: 20 }, () => service.placeOrder(product.id, 1)),
    ...Array.from({ length: 20 }, (_, n) =>
      service.call('PATCH', `/products/${product.id}`, { name: `Name ${n}` }),
    ),
  ]);
  const last = await service.placeOrder(product.id, 1);
  await readUntil(start, 'order.created', last.id);
  const seen: OutgoingEvent[] = [];
  for (let page = await read(start, undefined, 1); page.events.length > 0; ) {
    seen.push(...page.events);
    page = await read(page.next, undefined, 1);
  }
  expect(seen).toHaveLength(42);
  const positions = seen.map(({ position }) => position);
  expect(positions.toSorted(comparePositions)).toEqual(positions);
  const stored = await service.database.query<{ id: number }>(
    `select id::int from events where aggregate_id in (select id from orders) or aggregate_type = 'product' order by id`,
  );
  const ids = positions.map(({ id }) => id).toSorted((a, b) => a - b);
  expect(stored.map(({ id }) => id)).toEqual(ids);
});

test('an event that stores no payload shows the order as it was placed, also after it has changed', async () => {
  const { next } = await read(LOG_START, undefined, 1000);
  const product = await service.createProduct();
  const placed = await service.call('POST', '/orders', { product_id: product.id, quantity: 2 });
  await service.call('PUT', `/orders/${placed.body.id}`, { status: 'PAID' });
  await service.call('DELETE', `/orders/${placed.body.id}`);
  const events = await readUntil(next, 'order.canceled', placed.body.id);
  expect(events.map(({ event }) => event)).toMatchObject([
    { type: 'product.created', aggregate_type: 'product', data: { product } },
    {
      type: 'order.created',
      aggregate_type: 'order',
      aggregate_id: placed.body.id,
      version: 1,
      occurred_at: placed.body.created_at,
      request_id: placed.headers['x-request-id'],
      data: { order: placed.body },
    },
    { type: 'order.paid', version: 2 },
    { type: 'order.canceled', version: 3 },
  ]);
  expect(events[1]?.event.data).toEqual({ order: placed.body });
});

test('types are filtered, and a page without any still leads on behind what it has looked at', async () => {
  const { next } = await read(LOG_START, undefined, 1000);
  const product = await service.createProduct();
  await service.placeOrder(product.id, 1);
  const last = await service.placeOrder(product.id, 1);
  await readUntil(next, 'order.created', last.id);
  const orders = await read(next, ['order.created'], 1);
  expect(orders).toMatchObject({ events: [{ event: { type: 'order.created' } }], isEnd: false });
  expect(await read(orders.next, ['order.created', 'order.paid'])).toMatchObject({
    events: [{ event: { aggregate_id: last.id } }],
    isEnd: true,
  });
  const none = await read(next, ['order.shipped']);
  expect(none).toMatchObject({ events: [], isEnd: true });
  expect((await read(none.next)).events).toEqual([]);
});
