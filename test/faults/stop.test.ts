import { setTimeout as sleep } from 'node:timers/promises';

import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';

import { useTestDatabase } from '../support/database.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { type HttpAnswer, KeepAliveClient, startProcess } from '../support/process.ts';
import { together } from '../support/race.ts';

async function createProduct(url: string, stock: number): Promise<number> {
  const client = new KeepAliveClient(url);
  const body = { sku: 'SOLD', name: 'Sold', price: 1, stock };
  const answer = await client.call('POST', '/products', body);
  client.close();
  return answer.body.id;
}

test('SIGTERM under the load of 20 keep-alive clients: every request is answered 201, exit 0 within 10 s', async () => {
  const database = await useTestDatabase();
  const service = await startProcess({ DATABASE_URL: database.url, DRAIN_SECONDS: '1' });
  const productId = await createProduct(service.url, 1_000_000);
  const answers: HttpAnswer[] = [];
  /** Goes on until it is asked to take another connection, which a load balancer would open elsewhere. */
  const buy = async () => {
    const client = new KeepAliveClient(service.url);
    let answer: HttpAnswer;
    do {
      answer = await client.call('POST', '/orders', { product_id: productId, quantity: 1 });
      answers.push(answer);
    } while (answer.headers.connection !== 'close');
    client.close();
  };
  const buying = together(20, buy);
  await expect.poll(() => answers.length, { interval: 5 }).toBeGreaterThan(100);
  const ending = service.end('SIGTERM');
  const probe = new KeepAliveClient(service.url);
  await expect.poll(async () => (await probe.call('GET', '/readyz')).status, { interval: 5 }).toBe(503);
  // Still served, and asked to come back on another connection.
  expect(await probe.call('GET', '/healthz')).toMatchObject({
    status: 200,
    headers: { connection: 'close' },
  });
  probe.close();
  await buying;

  // Past its bound of 9.5 s, it would have ended with 1.
  expect(await ending).toMatchObject({ code: 0, signal: null });
  expect(service.stderr).toBe('');
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  const stored = await database.query('select from orders');
  expect(stored).toHaveLength(answers.length);
  await expectStockAddsUp(database);
});

test('SIGTERM while clients reconnect for ever: no answer fails, every acknowledged order is stored', async () => {
  const database = await useTestDatabase();
  const service = await startProcess({ DATABASE_URL: database.url, DRAIN_SECONDS: '1' });
  const productId = await createProduct(service.url, 1_000_000);
  const statuses: number[] = [];
  const acknowledged: number[] = [];
  const buy = async () => {
    const client = new KeepAliveClient(service.url);
    let connected = true;
    while (connected) {
      const body = { product_id: productId, quantity: 1 };
      const answer = await client.call('POST', '/orders', body).catch(() => undefined);
      connected = answer !== undefined;
      if (answer !== undefined) statuses.push(answer.status);
      if (answer?.status === 201) acknowledged.push(answer.body.id);
    }
    client.close();
  };
  const buying = together(10, buy);
  await expect.poll(() => acknowledged.length, { interval: 5 }).toBeGreaterThan(100);
  expect(await service.end('SIGTERM')).toMatchObject({ code: 0, signal: null });
  await buying;
  expect(new Set(statuses)).toEqual(new Set([201]));
  const stored = await database.query<{ id: string }>('select id from orders');
  expect(stored.map(({ id }) => Number(id))).toEqual(expect.arrayContaining(acknowledged));
  await expectStockAddsUp(database);
});

test('SIGTERM while an order waits for a lock: the order is answered 201 before the process ends with 0', async () => {
  const database = await useTestDatabase();
  const service = await startProcess({ DATABASE_URL: database.url });
  const productId = await createProduct(service.url, 5);
  const foreign = new pg.Client({ connectionString: database.url });
  await foreign.connect();
  onTestFinished(() => foreign.end());
  await foreign.query('begin');
  await foreign.query('select from products for update');
  const client = new KeepAliveClient(service.url);
  const ordering = client.call('POST', '/orders', { product_id: productId, quantity: 1 });
  const waiting =
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await expect.poll(() => database.query(waiting), { interval: 5 }).toHaveLength(1);
  const ending = service.end('SIGTERM');
  await foreign.query('select pg_sleep(0.3)');
  await foreign.query('commit');
  expect((await ordering).status).toBe(201);
  client.close();
  expect(await ending).toMatchObject({ code: 0, signal: null });
  expect(await database.query('select from orders')).toHaveLength(1);
  await expectStockAddsUp(database);
});

test('two SIGINTs within 100 ms, as from a terminal through npm, count as one: exit 0 after the drain', async () => {
  const database = await useTestDatabase();
  const service = await startProcess({ DATABASE_URL: database.url, DRAIN_SECONDS: '1' });
  const ending = service.end('SIGINT');
  await sleep(50);
  service.child.kill('SIGINT');
  const exit = await ending;
  expect(exit).toMatchObject({ code: 0, signal: null });
  expect(exit.ms).toBeGreaterThan(900);
});

test('a second SIGINT after 1.2 s is meant: the process ends at once, with 1', async () => {
  const database = await useTestDatabase();
  const service = await startProcess({ DATABASE_URL: database.url, DRAIN_SECONDS: '5' });
  const ending = service.end('SIGINT');
  const client = new KeepAliveClient(service.url);
  // From here on, the process has taken the first signal.
  await expect.poll(async () => (await client.call('GET', '/readyz')).status, { interval: 5 }).toBe(503);
  client.close();
  await sleep(1200);
  service.child.kill('SIGINT');
  // The drain would have ended it after 5 s, with 0.
  expect(await ending).toMatchObject({ code: 1, signal: null });
});
