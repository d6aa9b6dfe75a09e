import { expect, test } from 'vitest';

import type { PublicEvent } from '../../src/events/event.schemas.ts';
import { decodePosition, encodePosition } from '../../src/events/position.ts';
import { tamper } from '../support/audits.ts';
import { useSharedService, useTestService, type TestService } from '../support/service.ts';

const service = useSharedService();

/** Follows the feed until this event is in it: transactions of other tests may hold the horizon for a while. */
async function follow(url: string, until: (event: PublicEvent) => boolean, from: TestService = service) {
  const events: PublicEvent[] = [];
  let next = url;
  await expect
    .poll(async () => {
      const { status, body, headers } = await from.call('GET', next);
      expect(status).toBe(200);
      events.push(...body);
      next = /^<(.*)>; rel="next"$/.exec(String(headers['link']))?.[1] ?? '';
      return events.some(until);
    })
    .toBe(true);
  return { events, next };
}

const isFrom = (type: string, id: number) => (event: PublicEvent) =>
  event.type === type && event.aggregate_id === id;

function faultOf(body: { errors?: { path: string }[] }): string | undefined {
  return body.errors?.[0]?.path;
}

test('the feed leads on by Link, page by page and from its end, each event once, oldest first', async () => {
  const product = await service.createProduct();
  const order = await service.placeOrder(product.id, 2);
  const { events, next } = await follow('/events?limit=1', isFrom('order.created', order.id));
  expect(events.map(({ type, version }) => `${type} ${version}`)).toEqual([
    'product.created 1',
    'order.created 1',
  ]);
  expect(events[1]).toEqual({
    id: expect.any(String),
    type: 'order.created',
    occurred_at: expect.any(String),
    aggregate_type: 'order',
    aggregate_id: order.id,
    version: 1,
    actor: 'anonymous',
    request_id: expect.any(String),
    data: { order },
  });
  expect((await service.call('GET', next)).body).toEqual([]);
  await service.call('PUT', `/orders/${order.id}`, { status: 'PAID' });
  const later = await follow(next, isFrom('order.paid', order.id));
  expect(later.events.map(({ type }) => type)).toEqual(['order.paid']);
  expect(later.next).toContain('limit=1&after=');
  // The id of an event is the cursor behind it.
  const after = await service.call('GET', `/events?after=${events[1]?.id}`);
  expect(after.body).toEqual(later.events);
  expect((await service.call('GET', '/api/v1/events?limit=1')).headers['link']).toMatch(
    /^<\/api\/v1\/events\?/,
  );
});

test('types are filtered and validated, and the Link keeps them', async () => {
  const product = await service.createProduct();
  const order = await service.placeOrder(product.id, 1);
  await service.call('DELETE', `/orders/${order.id}`);
  const types = 'product.created,order.canceled';
  const { events, next } = await follow(`/events?types=${types}`, isFrom('order.canceled', order.id));
  expect(new Set(events.map(({ type }) => type))).toEqual(new Set(types.split(',')));
  expect(next).toContain(`types=${encodeURIComponent(types)}`);
  for (const wrong of ['order.nothing', 'order.paid,', '', 'orderxpaid', 'order.paid%00']) {
    const { status, body } = await service.call('GET', `/events?types=${wrong}`);
    expect([wrong, status, faultOf(body)]).toEqual([wrong, 422, 'query/types']);
  }
});

test('a cursor that never was a place in this log is refused with a sentence', async () => {
  const product = await service.createProduct();
  const { events } = await follow('/events', isFrom('product.created', product.id));
  const position = decodePosition(events.at(-1)?.id ?? '');
  if (position === undefined) throw new Error('the id of an event is no cursor');
  const wrong = [
    'x',
    '!!!!',
    `${events[0]?.id}=`,
    // Of an epoch that has not begun, of an event that there is not, of a transaction that has not begun.
    encodePosition({ ...position, epoch: 2 }),
    encodePosition({ ...position, id: position.id + 1_000_000 }),
    encodePosition({ ...position, transactionId: '900000000000000000' }),
    encodePosition({ epoch: 1, transactionId: '900000000000000000', id: 0 }),
    encodePosition({ ...position, transactionId: `${position.transactionId}0000000` }),
  ];
  for (const after of wrong) {
    const { status, body } = await service.call('GET', `/events?after=${encodeURIComponent(after)}`);
    expect([after, status, faultOf(body)]).toEqual([after, 422, 'query/after']);
    expect(body.detail).toContain('is not the id of an event of this log');
  }
  expect((await service.call('GET', '/events?limit=0')).status).toBe(422);
  expect((await service.call('GET', '/events?cursor=x')).status).toBe(422);
});

test('a cursor behind which events are deleted is refused with 410, one at the place where they end leads on', async () => {
  const other = await useTestService();
  const product = await other.createProduct();
  for (const name of ['b', 'c', 'd']) await other.call('PATCH', `/products/${product.id}`, { name });
  const { events } = await follow('/events', ({ version }) => version === 4, other);
  await tamper(
    other.database,
    "update events set occurred_at = now() - interval '8 days' where aggregate_version < 3",
  );
  await other.database.query("select delete_old_events(now(), 10, 2, '0', 0)");
  const [first, second] = events;
  const gone = await other.call('GET', `/events?after=${first?.id}`);
  expect([gone.status, gone.body.code]).toEqual([410, 'events_expired']);
  const rest = await other.call('GET', `/events?after=${second?.id}`);
  expect(rest.body).toEqual(events.slice(2));
  expect((await other.call('GET', '/events')).body).toEqual(events.slice(2));
});

test('cursors survive a restore into another cluster: those of events that came with it lead on, later ones are refused', async () => {
  const other = await useTestService();
  const product = await other.createProduct();
  for (const name of ['b', 'c']) await other.call('PATCH', `/products/${product.id}`, { name });
  const { events } = await follow('/events', ({ version }) => version === 3, other);
  // What the other cluster had counted to; and its last event came after the backup.
  const shift = 9_000_000_000_000n;
  const cursors = events.map(({ id }) => {
    const { transactionId, ...rest } = decodePosition(id) ?? { epoch: 1, transactionId: '0', id: 0 };
    return encodePosition({ ...rest, transactionId: String(BigInt(transactionId) + shift) });
  });
  await tamper(
    other.database,
    `update events set transaction_id = ((transaction_id::text)::bigint + ${shift})::text::xid8;
     delete from events where aggregate_version = 3`,
  );
  await other.database.query('select open_event_log()');
  await other.call('PATCH', `/products/${product.id}`, { name: 'after the restore' });
  const led = await follow(`/events?after=${cursors[0]}`, ({ version }) => version === 4, other);
  expect(led.events.map(({ version }) => version)).toEqual([2, 4]);
  expect(led.events[0]?.id).toBe(cursors[1]);
  expect(decodePosition(led.events[1]?.id ?? '')?.epoch).toBe(2);
  const lost = await other.call('GET', `/events?after=${cursors[2]}`);
  expect([lost.status, faultOf(lost.body)]).toEqual([422, 'query/after']);
});
