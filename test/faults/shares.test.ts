import { describe, expect, onTestFinished, test } from 'vitest';

import { connectForeign } from '../support/baskets.ts';
import { tally } from '../support/race.ts';
import { type TestService, useSharedService, useTestService } from '../support/service.ts';

/** How many calls wait for a lock of the test at this moment. */
async function blocked({ database }: TestService): Promise<number> {
  const rows = await database.query(
    `select from pg_stat_activity
      where datname = current_database() and application_name = 'orders-inventory' and wait_event_type = 'Lock'`,
  );
  return rows.length;
}

describe.each([2, 10])('with a pool of %i', (poolSize) => {
  const forLists = poolSize === 2 ? 1 : 4;

  test('lists that wait hold up only lists: readiness, reads by id, orders and payments are answered at once', async () => {
    const service = await useTestService({ poolSize });
    const { id } = await service.createProduct();
    const order = await service.placeOrder(id, 1);
    // As searches that take their time.
    const { lists: pool } = service.own.pools;
    const held = await Promise.all(Array.from({ length: forLists }, () => pool.connect()));
    const letGo = () => held.splice(0).forEach((client) => client.release());
    // Also when the test fails: the service waits for them before it closes.
    onTestFinished(letGo);
    const lists = Array.from({ length: 25 * forLists }, () => service.call('GET', '/products'));
    await expect.poll(() => pool.waitingCount, { interval: 5 }).toBe(lists.length);

    const refused = await service.call('GET', '/products');
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect((await service.call('GET', '/readyz')).status).toBe(200);
    expect((await service.call('GET', `/products/${id}`)).status).toBe(200);
    expect((await service.call('GET', `/orders/${order.id}`)).status).toBe(200);
    expect((await service.call('PATCH', `/products/${id}`, { name: 'Another' })).status).toBe(200);
    await service.placeOrder(id, 1);
    const paid = await service.pay({
      event_type: 'payment.succeeded',
      order_id: order.id,
      amount: order.total,
    });
    expect(paid.body).toMatchObject({ status: 'processed' });
    // All this while the lists waited.
    expect(pool.waitingCount).toBe(lists.length);
    letGo();
    expect(tally(await Promise.all(lists))).toEqual({ 200: lists.length });
    expect((await service.call('GET', '/products')).status).toBe(200);
  });

  test('edits that wait for a locked product hold up no payment, no list and no read', async () => {
    const service = await useTestService({ poolSize });
    const { id } = await service.createProduct();
    const { id: other } = await service.createProduct();
    const order = await service.placeOrder(other, 1);
    const foreign = await connectForeign(service.database);
    await foreign.query('begin');
    await foreign.query('select from products where id = $1 for update', [id]);
    const edits = Array.from({ length: 2 * poolSize }, (_, n) =>
      service.call('PATCH', `/products/${id}`, { name: `Name ${n}` }),
    );
    await expect.poll(() => blocked(service), { interval: 5 }).toBe(poolSize - forLists);
    const paid = await service.pay({
      event_type: 'payment.succeeded',
      order_id: order.id,
      amount: order.total,
    });
    expect(paid.body).toMatchObject({ status: 'processed' });
    expect((await service.call('GET', '/products')).status).toBe(200);
    expect((await service.call('GET', '/readyz')).status).toBe(200);
    await foreign.query('rollback');
    await Promise.all(edits);
  });
});

describe('statements', () => {
  const service = useSharedService({ poolSize: 2 });

  test('2,000 combinations of filters leave no named statement behind, edits of every combination of fields few', async () => {
    const { id } = await service.createProduct();
    const options = {
      outcome: ['processed', 'ignored', 'review', 'failed'],
      event_type: ['payment.succeeded', 'payment.failed'],
      order_id: ['1'],
      event_id: ['e'],
      received_from: ['2026-01-01T00:00:00Z'],
      received_to: ['2100-01-01T00:00:00Z'],
      verdict: ['valid'],
      sort: ['id', '-id'],
      limit: ['1'],
    };
    let queries = [''];
    for (const [name, values] of Object.entries(options)) {
      queries = queries.flatMap((query) => [query, ...values.map((value) => `${query}&${name}=${value}`)]);
    }
    const sent = queries.slice(0, 2000);
    expect(sent).toHaveLength(2000);
    for (const query of sent) {
      expect((await service.call('GET', `/webhooks/inbox?${query.slice(1)}`)).status).toBe(200);
    }
    const fields = { name: 'N', description: 'D', price: 2, active: true, stock: 5 };
    for (let mask = 1; mask < 32; mask++) {
      const edit = Object.fromEntries(Object.entries(fields).filter((_, n) => (mask >> n) & 1));
      expect((await service.call('PATCH', `/products/${id}`, edit)).status).toBe(200);
    }
    const { lists, changes } = service.own.pools;
    expect((await lists.query('select from pg_prepared_statements')).rowCount).toBe(0);
    expect((await changes.query('select from pg_prepared_statements')).rowCount).toBeLessThan(20);
  });

  const states: [string, string | undefined][] = [
    ['fresh', undefined],
    ['analysed', 'analyze products'],
    [
      'large',
      `insert into products (sku, name, price) select 'L' || n, 'Large', 1 from generate_series(1, 20000) n`,
    ],
  ];

  test.each(states)(
    '1,000 reads by id of a %s table are planned at most 5 times, and read no table',
    async (_name, prepare) => {
      if (prepare !== undefined) await service.database.query(prepare);
      const { id } = await service.createProduct();
      const { id: orderId } = await service.placeOrder(id, 1);
      for (let n = 0; n < 500; n++) {
        await service.call('GET', `/products/${id}`);
        await service.call('GET', `/orders/${orderId}`);
      }
      const { reads } = service.own.pools;
      for (let n = 0; n < reads.totalCount; n++) {
        const { rows } = await reads.query<{ name: string; custom: number }>(
          'select name, custom_plans::int as custom from pg_prepared_statements where not from_sql',
        );
        expect(rows.filter(({ custom }) => custom > 5)).toEqual([]);
        for (const { name } of rows) {
          const plan = await reads.query(`explain execute "${name}" ('{1,2,3}')`).catch(() => undefined);
          expect(JSON.stringify(plan?.rows ?? [])).not.toContain('Seq Scan');
        }
      }
    },
  );
});
