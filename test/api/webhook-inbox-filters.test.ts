import { beforeAll, expect, test } from 'vitest';

import { deliverForged, inboxOf } from '../support/inbox.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
import { deliver, standardHeaders } from '../support/webhooks.ts';

const service = useSharedService();
let all: Record<string, unknown>[];
let orderId: number;

beforeAll(async () => {
  const { id: productId } = await service.createProduct();
  orderId = (await service.placeOrder(productId, 1)).id;
  const paid = (await service.placeOrder(productId, 1)).id;
  await service.pay({ event_type: 'payment.succeeded', order_id: paid });
  await deliverForged(service, '{"event_id":"evt_forged"}');
  await deliver(service, '{}', {});
  await deliver(service, '{}', standardHeaders('{}', { at: new Date(0) }));
  await deliver(service, '{}', { 'content-type': 'text/plain' });
  await service.pay({ event_type: 'payment.created', order_id: orderId });
  await service.pay({ event_type: 'payment.refunded', order_id: orderId });
  const payload = JSON.stringify({ event_type: 'payment.failed', order_id: orderId });
  await deliver(service, payload, standardHeaders(payload, { id: `msg_${orderId}` }));
  await service.pay({ event_type: 'payment.failed', order_id: 999_998 });
  all = await inboxOf(service, 'limit=1000');
});

const where = (fits: (row: Record<string, unknown>) => boolean) => all.filter(fits).map(({ id }) => id);
const find = async (query: string) => (await inboxOf(service, `limit=1000&${query}`)).map(({ id }) => id);

test.each(['processed', 'ignored', 'review', 'failed', 'refused'])('outcome=%s', async (outcome) => {
  const expected = where((row) => row['outcome'] === outcome);
  expect(expected.length).toBeGreaterThan(0);
  expect(await find(`outcome=${outcome}`)).toEqual(expected);
  expect(await find(`outcome=${outcome}&sort=id`)).toEqual(expected.toReversed());
});

test.each(['valid', 'forged', 'stale', 'missing', 'unchecked'])('verdict=%s', async (verdict) => {
  const expected = where((row) => row['verdict'] === verdict);
  expect(expected.length).toBeGreaterThan(0);
  expect(await find(`verdict=${verdict}`)).toEqual(expected);
});

test('event_type, order_id, event_id of the body and webhook-id, and several at once', async () => {
  expect(await find('event_type=payment.refunded')).toEqual(
    where((row) => row['event_type'] === 'payment.refunded'),
  );
  expect(await find('event_type=payment.succeeded')).toEqual(
    where((row) => row['event_type'] === 'payment.succeeded'),
  );
  expect(await find(`order_id=${orderId}`)).toHaveLength(3);
  expect(await find('order_id=999998')).toEqual(where((row) => row['order_id'] === 999_998));
  expect(await find(`event_id=msg_${orderId}`)).toEqual(
    where((row) => row['identity'] === `webhook:msg_${orderId}`),
  );
  expect(await find(`order_id=${orderId}&outcome=review&event_type=payment.refunded`)).toHaveLength(1);
  expect(await find('outcome=processed&verdict=forged')).toEqual([]);
  expect(await find('outcome=failed&verdict=forged')).toEqual([]);
  expect(await find('event_id=evt_forged')).toEqual([]);
});

test('received_from is inclusive and received_to exclusive, over accepted and refused ones', async () => {
  const at = String(all[Math.floor(all.length / 2)]?.['received_at']);
  const later = where((row) => String(row['received_at']) >= at);
  expect(later.length).toBeGreaterThan(0);
  expect(await find(`received_from=${at}`)).toEqual(later);
  expect(await find(`received_to=${at}`)).toEqual(where((row) => String(row['received_at']) < at));
  expect(await find('received_from=2031-01-01T00:00:00Z')).toEqual([]);
  expect(await find('received_to=2001-01-01T00:00:00Z')).toEqual([]);
});

test.each([
  ['outcome=lost', 'query/outcome'],
  ['verdict=invalid', 'query/verdict'],
  ['event_id=', 'query/event_id'],
  ['received_from=now', 'query/received_from'],
  ['status=failed', 'query/status'],
])('%s: 422', async (query, path) => {
  expect(await service.call('GET', `/webhooks/inbox?${query}`)).toHaveFaults(path);
});
