import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';

import { useProxiedService } from '../support/fault-proxy.ts';
import { deliverForged, inboxOf, nextOrderId, replay } from '../support/inbox.ts';
import { tally, together } from '../support/race.ts';
import { type TestService, useTestService } from '../support/service.ts';

async function countOf(service: TestService, where: string): Promise<number> {
  const [row] = await service.database.query<{ count: number }>(
    `select count(*)::int as count from inbound_deliveries where ${where}`,
  );
  return row?.count ?? 0;
}

async function unrecorded(service: TestService): Promise<string[]> {
  const { text } = await service.call('GET', '/metrics');
  return text.split('\n').filter((line) => line.startsWith('webhook_inbox_unrecorded_total{'));
}

test('a flood of 1,000 forged deliveries stores 60 of them, then one a second; all are refused and counted', async () => {
  const clock = { now: Date.now(), nowMs: () => clock.now };
  const service = await useTestService({ clock });
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  const forged = await together(1000, (n) => deliverForged(service, `{"n":${n}}`));
  expect(tally(forged)).toEqual({ 403: 1000 });
  expect((await service.pay({ event_type: 'payment.succeeded', order_id: order.id })).body.status).toBe(
    'processed',
  );
  expect(await inboxOf(service, 'verdict=forged&limit=1000')).toHaveLength(60);
  expect(await unrecorded(service)).toEqual(['webhook_inbox_unrecorded_total{verdict="forged"} 940']);
  expect((await service.call('GET', '/metrics')).text).toContain(
    'payment_events_total{outcome="forged"} 1000',
  );

  clock.now += 10_000;
  await together(100, (n) => deliverForged(service, `{"later":${n}}`));
  expect(await inboxOf(service, 'verdict=forged&limit=1000')).toHaveLength(70);
  // What is known already only counts up.
  await together(50, () => deliverForged(service, '{"n":0}'));
  expect(await inboxOf(service, 'verdict=forged&limit=1000')).toHaveLength(70);
});

/** Refusals as they would stand there after a long time; the newest `days` days old, each a second older than the next. */
function fill(service: TestService, verdict: string, count: number, days: number) {
  return service.database.query(
    `insert into inbound_deliveries (verdict, outcome, identity, scheme, reason, detail, raw_body, request_id,
                                   received_at, last_delivered_at)
     select $1, case $1 when 'valid' then 'failed' else 'refused' end, $1 || $3 || n,
            case $1 when 'valid' then 'standard-webhooks' end, 'x', 'x', '', 'r', at, at
       from generate_series(1, $2::int) n,
            lateral (select now() - make_interval(days => $3::int, secs => $2::int - n) as at) t`,
    [verdict, count, days],
  );
}

test('the purge keeps the newest 10,000 failures of 30 days and the newest 1,000 others of 7, in one run, however many batches that takes', async () => {
  const service = await useTestService();
  await fill(service, 'valid', 700, 31);
  await fill(service, 'forged', 300, 8);
  await fill(service, 'valid', 10_500, 29);
  await fill(service, 'forged', 800, 6);
  await fill(service, 'missing', 700, 6);
  expect(await service.services.inbox.purge()).toBe(2000);
  expect(await countOf(service, "verdict = 'valid'")).toBe(10_000);
  expect(await countOf(service, "verdict <> 'valid'")).toBe(1000);
  expect(await countOf(service, "verdict = 'missing'")).toBe(700);
  expect(await countOf(service, "last_delivered_at < now() - interval '30 days'")).toBe(0);
});

test('560 new failures purge by themselves: no flood between two purges fills the disk', async () => {
  const service = await useTestService();
  await fill(service, 'valid', 10_900, 1);
  for (let round = 0; round < 7; round++) {
    const failed = await together(80, (n) =>
      service.pay({ event_type: 'payment.succeeded', order_id: 999_999, event_id: `e-${round}-${n}` }),
    );
    expect(tally(failed)).toEqual({ 404: 80 });
    await service.services.inbox.flush();
  }
  // 11,460, less one batch of 1,000.
  expect(await countOf(service, 'true')).toBe(10_460);
});

/** From now on, storing a refusal waits. @returns what ends that */
async function holdUpStoring({ database }: TestService): Promise<() => Promise<unknown>> {
  await database.query(`
    create function hang() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(4711); return new; end $$;
    create trigger hang before insert on inbound_deliveries for each row when (new.outcome in ('failed', 'refused')) execute function hang()`);
  const holder = new Client({ connectionString: database.url });
  await holder.connect();
  onTestFinished(() => holder.end());
  await holder.query('select pg_advisory_lock(4711)');
  return () => holder.query('select pg_advisory_unlock(4711)');
}

test('storing that hangs holds up no answer: neither a refusal nor a payment, and then all is there', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  const release = await holdUpStoring(service);
  const event = { event_type: 'payment.succeeded', order_id: order.id };
  const unknown = { event_type: 'payment.succeeded', order_id: 999_999, event_id: 'unknown' };
  const answers = [
    await service.pay(unknown),
    await deliverForged(service, '{}'),
    await service.pay({ ...event, order_id: 'x' }),
    await service.pay(event),
  ];
  expect(answers.map(({ status }) => status)).toEqual([404, 403, 422, 200]);
  expect(await countOf(service, "outcome in ('failed', 'refused')")).toBe(0);
  await release();
  await expect.poll(() => countOf(service, "outcome in ('failed', 'refused')"), { interval: 5 }).toBe(3);
});

test('a failure that is stored after the event was applied is one more delivery of it, and nothing else', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  const release = await holdUpStoring(service);
  const event = { event_type: 'payment.succeeded', order_id: await nextOrderId(service), event_id: 'late' };
  expect((await service.pay(event)).status).toBe(404);
  await service.placeOrder(id, 1);
  expect((await service.pay(event)).body).toMatchObject({ status: 'processed' });
  await release();
  const inbox = await inboxOf(service);
  expect(inbox).toMatchObject([
    { outcome: 'processed', reason: null, identity: 'event:late', deliveries: 2 },
  ]);
  expect(inbox).toHaveLength(1);
  expect((await service.call('GET', '/metrics')).text).toContain('\nwebhook_inbox_failed 0\n');
  expect(await service.services.inbox.purge()).toBe(0);
});

test('what fails while the database is away waits in memory, is stored when it is back, and can be replayed', async () => {
  const { service, proxy } = await useProxiedService();
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  const event = { event_type: 'payment.succeeded', order_id: order.id, event_id: 'while-away' };
  await proxy.refuse();
  const down = await together(5, () => service.pay(event));
  expect(tally(down)).toEqual({ 503: 5 });
  await deliverForged(service, '{}');
  await service.services.inbox.flush();
  await proxy.restore();
  await service.services.inbox.flush();
  const [failed] = await inboxOf(service, 'outcome=failed');
  expect(failed).toMatchObject({
    identity: 'event:while-away',
    reason: 'service_unavailable',
    deliveries: 5,
  });
  expect(await inboxOf(service, 'verdict=forged')).toHaveLength(1);
  expect((await replay(service, failed.id)).body).toMatchObject({ status: 'processed', new_status: 'PAID' });
  expect(await inboxOf(service, 'outcome=failed')).toEqual([]);
});

test('a service that stops waits until what it has refused is stored', async () => {
  const service = await useTestService();
  const other = await useTestService({ database: service.database });
  const release = await holdUpStoring(service);
  await other.pay({ event_type: 'payment.succeeded', order_id: 999_999, event_id: 'last' });
  let stopped = false;
  const stopping = other.services.stop().finally(() => {
    stopped = true;
  });
  for (let trips = 0; trips < 5; trips++)
    expect(await countOf(service, "outcome in ('failed', 'refused')")).toBe(0);
  expect(stopped).toBe(false);
  await release();
  await stopping;
  expect(await countOf(service, "identity = 'event:last'")).toBe(1);
});
