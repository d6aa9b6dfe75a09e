import { expect, test } from 'vitest';

import { claimDeliveries } from '../../src/outbound/relay.repository.ts';
import { PER_ENDPOINT } from '../../src/outbound/relay.service.ts';
import { useTestDatabase } from '../support/database.ts';
import { BuiltService } from '../support/process.ts';
import { answerWith, type Receiver, useReceiver } from '../support/receivers.ts';
import { createEndpoint, deliveriesOf, endPauses, fanOut, relayAll } from '../support/relay.ts';
import { type TestService, useTestService } from '../support/service.ts';

/** Far longer than a test: what hangs, hangs. */
const PATIENT = { outbound: { limits: { deadlineMs: 600_000, leaseMs: 600_000 } } };
const types = ['product.created'];

function idsAt({ received }: Receiver): string[] {
  return received.map(({ headers }) => headers['webhook-id'] ?? '');
}

async function createProducts(service: TestService, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await service.createProduct();
}

/** One turn of the relay as the background runs it. */
function run(service: TestService): Promise<void> {
  return service.services.relay.run(
    () => false,
    () => undefined,
  );
}

test('two relays at once: 120 deliveries, each sent once', async () => {
  const one = await useTestService(PATIENT);
  const two = await useTestService({ ...PATIENT, database: one.database });
  const receiver = await useReceiver(answerWith(200));
  await createEndpoint(one, receiver, { types });
  await createProducts(one, 120);
  await fanOut(one);
  await Promise.all([one, two, one, two].map(run));
  await Promise.all([relayAll(one), relayAll(two)]);
  await expect.poll(() => deliveriesOf(one, 'status=pending')).toEqual([]);
  expect(new Set(idsAt(receiver)).size).toBe(120);
  expect(receiver.received).toHaveLength(120);
});

test('an endpoint that hangs takes its share and no more, and delays no other', async () => {
  const service = await useTestService(PATIENT);
  const hang = await useReceiver(() => undefined);
  const good = await useReceiver(answerWith(200));
  const stuck = await createEndpoint(service, hang, { types });
  await createEndpoint(service, good, { types });
  await createProducts(service, PER_ENDPOINT + 10);
  await fanOut(service);
  await run(service);
  await expect
    .poll(async () => {
      await run(service);
      return good.received.length;
    })
    .toBe(PER_ENDPOINT + 10);
  await expect.poll(() => hang.received.length).toBe(PER_ENDPOINT);
  expect(await deliveriesOf(service, `status=pending&endpoint_id=${stuck.id}`)).toHaveLength(
    PER_ENDPOINT + 10,
  );
});

test('a relay that stops gives its claims back, so another one need not wait for their leases', async () => {
  const database = await useTestDatabase();
  const first = await useTestService({ ...PATIENT, database });
  const second = await useTestService({ ...PATIENT, database });
  let isHanging = true;
  const receiver = await useReceiver((_request, response) => (isHanging ? undefined : response.end()));
  await createEndpoint(first, receiver, { types });
  await createProducts(first, 3);
  await fanOut(first);
  await run(first);
  await expect.poll(() => receiver.received.length).toBe(3);
  expect(await second.services.relay.relayOnce()).toBe(0);
  isHanging = false;
  await first.services.relay.stop();
  expect(await relayAll(second)).toBe(3);
  const deliveries = await deliveriesOf(second, 'status=delivered');
  // What broke off by the stop is no failure of the receiver.
  expect(deliveries.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1]);
});

test('a relay that wakes up behind its lease changes nothing', async () => {
  const first = await useTestService(PATIENT);
  const second = await useTestService({ ...PATIENT, database: first.database });
  const held: (() => void)[] = [];
  const receiver = await useReceiver((_request, response, count) => {
    if (count === 1) held.push(() => response.writeHead(400).end());
    else response.end();
  });
  await createEndpoint(first, receiver, { types });
  await createProducts(first, 1);
  await fanOut(first);
  const late = first.services.relay.relayOnce();
  await expect.poll(() => held.length).toBe(1);
  await endPauses(first);
  expect(await relayAll(second)).toBe(1);
  held[0]?.();
  await late;
  const [delivery] = await deliveriesOf(first, '');
  expect([delivery?.status, delivery?.attempts.map(({ status }) => status)]).toEqual(['delivered', [200]]);
  const { text } = await first.call('GET', '/metrics');
  expect(text).toContain('webhook_attempts_total{outcome="lost"} 1');
});

test('a claim of a relay that died before it sent anything is sent when its lease ends', async () => {
  const service = await useTestService(PATIENT);
  const receiver = await useReceiver(answerWith(200));
  await createEndpoint(service, receiver, { types });
  await createProducts(service, 1);
  await fanOut(service);
  const room = { underWay: new Map<number, number>(), perEndpoint: 1, perFailing: 1 };
  expect(await claimDeliveries(service.own.db, room, 30_000)).toHaveLength(1);
  expect(await relayAll(service)).toBe(0);
  await endPauses(service);
  expect(await relayAll(service)).toBe(1);
  expect(receiver.received).toHaveLength(1);
});

test('kill -9 of a service between send and outcome: its successor sends again, with the same webhook-id', async () => {
  const database = await useTestDatabase();
  const settings = { DATABASE_URL: database.url, ALLOW_INSECURE_ENDPOINTS: 'true' };
  const first = await new BuiltService(settings).ready();
  const receiver = await useReceiver((_request, response, count) =>
    count <= 5 ? undefined : response.end(),
  );
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${first.url}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    expect(answer.status).toBe(201);
  };
  await post('/webhook-endpoints', { url: receiver.url, types });
  for (let i = 0; i < 5; i++) await post('/products', { sku: `K-${i}`, name: 'x', price: 1, stock: 1 });
  await expect.poll(() => receiver.received.length).toBe(5);
  await first.end('SIGKILL');
  await endPauses({ database });
  await new BuiltService(settings).ready();
  await expect.poll(() => receiver.received.length).toBe(10);
  const ids = idsAt(receiver);
  expect(new Set(ids).size).toBe(5);
  expect(ids.slice(5).toSorted()).toEqual(ids.slice(0, 5).toSorted());
  const delivered = () => database.query("select from webhook_deliveries where status = 'delivered'");
  await expect.poll(async () => (await delivered()).length).toBe(5);
});
