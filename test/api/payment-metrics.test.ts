import { expect, test } from 'vitest';

import { useProxiedService } from '../support/fault-proxy.ts';
import { type TestService, useTestService } from '../support/service.ts';

/** The series of the metrics whose names begin so, as `name{labels}` → value. */
async function seriesOf(service: TestService, prefix: string): Promise<Record<string, number>> {
  const { status, text } = await service.call('GET', '/metrics');
  expect(status).toBe(200);
  const lines = text.split('\n').filter((line) => line.startsWith(prefix));
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

const openOf = (reason: string) => `payment_exceptions_open{reason="${reason}"}`;
const OLDEST = 'payment_exceptions_oldest_open_seconds';

test('exceptions open by reason and the age of the oldest are those of the database, at every instance', async () => {
  const service = await useTestService();
  const other = await useTestService({ database: service.database });
  const { id: productId } = await service.createProduct();
  expect(await seriesOf(other, 'payment_exceptions_o')).toMatchObject({
    [openOf('underpaid')]: 0,
    [openOf('already_paid')]: 0,
    [OLDEST]: 0,
  });

  for (let i = 0; i < 3; i++) {
    const { id } = await service.placeOrder(productId, 1);
    await service.pay({ event_type: 'payment.succeeded', order_id: id, amount: 1 });
  }
  await service.database.query(
    "update payment_exceptions set created_at = now() - interval '1 hour' where id = 2",
  );
  for (const instance of [service, other]) {
    const series = await seriesOf(instance, 'payment_exceptions_o');
    expect(series).toMatchObject({ [openOf('underpaid')]: 3, [openOf('already_paid')]: 0 });
    expect(series[OLDEST]).toBeGreaterThanOrEqual(3600);
    expect(series[OLDEST]).toBeLessThan(3700);
  }

  for (const id of [1, 2, 3])
    await service.call('POST', `/payments/exceptions/${id}/resolve`, { resolution: 'accepted' });
  expect(await seriesOf(other, 'payment_exceptions_o')).toMatchObject({
    [openOf('underpaid')]: 0,
    [OLDEST]: 0,
  });
});

test('failed deliveries that wait in the inbox are counted, until they are applied', async () => {
  const service = await useTestService();
  const { id: productId } = await service.createProduct();
  const early = { event_type: 'payment.succeeded', order_id: 1, event_id: 'early' };
  await service.pay(early);
  await service.services.inbox.flush();
  expect(await seriesOf(service, 'webhook_inbox_failed')).toEqual({ webhook_inbox_failed: 1 });
  expect(await seriesOf(service, 'payment_events_total')).toEqual({
    'payment_events_total{outcome="failed"}': 1,
  });
  await service.placeOrder(productId, 1);
  await service.pay(early);
  expect(await seriesOf(service, 'webhook_inbox_failed')).toEqual({ webhook_inbox_failed: 0 });
});

test('a database that is away: /metrics answers with the last figures, and without any when there never were some', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id: productId } = await service.createProduct();
  const { id } = await service.placeOrder(productId, 1);
  await service.pay({ event_type: 'payment.succeeded', order_id: id, amount: 1 });
  const before = await seriesOf(service, 'payment_exceptions_o');
  expect(before[openOf('underpaid')]).toBe(1);

  await proxy.refuse();
  const refused = await seriesOf(service, 'payment_exceptions_o');
  expect(refused).toEqual({ ...before, [OLDEST]: expect.any(Number) });
  expect(refused[OLDEST]).toBeGreaterThanOrEqual(before[OLDEST] ?? 0);

  const unborn = await useProxiedService();
  await unborn.proxy.refuse();
  expect(await seriesOf(unborn.service, 'payment_exceptions_o')).toEqual({});
  expect(await seriesOf(unborn.service, 'webhook_inbox_failed')).toEqual({});
  expect(await database.query('select from payment_exceptions')).toHaveLength(1);
});

test('a database that has fallen silent does not keep 20 scrapes waiting, and they share one reading', async () => {
  const { service, proxy } = await useProxiedService();
  const { id: productId } = await service.createProduct();
  const { id } = await service.placeOrder(productId, 1);
  await service.pay({ event_type: 'payment.succeeded', order_id: id, amount: 1 });
  await seriesOf(service, 'payment_exceptions_o');
  proxy.fallSilent();
  const scrapes = await Promise.all(
    Array.from({ length: 20 }, () => seriesOf(service, 'payment_exceptions_o')),
  );
  expect(scrapes.map((series) => series[openOf('underpaid')])).toEqual(Array(20).fill(1));
  // One reading for each of three statements, the backlog of deliveries among them, whoever asks. They still wait: the answer did not wait for their end.
  const { totalCount, idleCount } = service.own.pools.changes;
  expect(totalCount - idleCount).toBe(3);
  await proxy.restore();
});
