import { expect, test } from 'vitest';

import { tamper } from '../support/audits.ts';
import { createEndpoint, fanOut } from '../support/relay.ts';
import { type TestService, useTestService } from '../support/service.ts';

async function makeEvents(service: TestService, days: number): Promise<void> {
  const { id } = await service.createProduct();
  for (const name of ['b', 'c', 'd']) await service.call('PATCH', `/products/${id}`, { name });
  await tamper(service.database, `update events set occurred_at = now() - interval '${days} days'`);
}

/** A transaction of another test may hold the end of the log for a while. */
function eventsLeft({ database }: TestService): Promise<number> {
  return database.query('select from events').then((rows) => rows.length);
}

test('with EVENT_RETENTION_DAYS=10, events of 11 days go and younger ones stay; with 0, all stay', async () => {
  const service = await useTestService({ eventRetentionDays: 10 });
  await makeEvents(service, 11);
  await service.createProduct();
  await expect
    .poll(async () => {
      await service.services.retention.purge();
      return eventsLeft(service);
    })
    .toBe(1);
  const forEver = await useTestService();
  await makeEvents(forEver, 4000);
  expect(await forEver.services.retention.purge()).toBe(0);
  expect(await eventsLeft(forEver)).toBe(4);
});

test('an event that endpoints have not been given stays, however old it is, and goes once their deliveries exist', async () => {
  const service = await useTestService({ eventRetentionDays: 10 });
  await createEndpoint(service, { url: 'http://receiver.example/' });
  await fanOut(service);
  await makeEvents(service, 11);
  await service.services.retention.purge();
  expect(await eventsLeft(service)).toBeGreaterThanOrEqual(4);
  await fanOut(service);
  await expect
    .poll(async () => {
      await service.services.retention.purge();
      return eventsLeft(service);
    })
    .toBe(0);
  expect((await service.call('GET', '/webhook-deliveries?status=pending')).body).toHaveLength(4);
});
