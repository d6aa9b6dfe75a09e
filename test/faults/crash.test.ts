import { expect, test } from 'vitest';

import { useTestDatabase } from '../support/database.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { KeepAliveClient, startProcess } from '../support/process.ts';
import { together } from '../support/race.ts';

const CLIENTS = 8;

test('kill -9 under load, 3 times in a row: every acknowledged order is there, every key has one order', async () => {
  const database = await useTestDatabase();
  let service = await startProcess({ DATABASE_URL: database.url });
  const seller = new KeepAliveClient(service.url);
  const product = { sku: 'SOLD', name: 'Sold', price: 1, stock: 1_000_000 };
  const { body } = await seller.call('POST', '/products', product);
  seller.close();
  const order = (client: KeepAliveClient, key: string) =>
    client.call('POST', '/orders', { product_id: body.id, quantity: 1 }, { 'idempotency-key': key });

  /** Key → id of the acknowledged order; undefined while nobody has answered. */
  const orders = new Map<string, number | undefined>();
  const acknowledged = () => [...orders.values()].filter((id) => id !== undefined).length;
  for (let round = 1; round <= 3; round++) {
    const before = acknowledged();
    const buying = together(CLIENTS, async (buyer) => {
      const client = new KeepAliveClient(service.url);
      for (let n = 0, connected = true; connected; n++) {
        const key = `round-${round}-buyer-${buyer}-order-${n}`;
        orders.set(key, undefined);
        const answer = await order(client, key).catch(() => undefined);
        connected = answer !== undefined;
        if (answer?.status === 201) orders.set(key, answer.body.id);
      }
      client.close();
    });
    await expect.poll(() => acknowledged() - before, { interval: 2 }).toBeGreaterThan(100);
    expect(await service.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    await buying;

    service = await startProcess({ DATABASE_URL: database.url });
    const stored = await database.query<{ id: string }>('select id from orders');
    const ids = stored.map(({ id }) => Number(id));
    expect(ids).toEqual(expect.arrayContaining([...orders.values()].filter((id) => id !== undefined)));

    const unanswered = [...orders].filter(([, id]) => id === undefined).map(([key]) => key);
    expect(unanswered.length).toBeGreaterThan(0);
    const client = new KeepAliveClient(service.url);
    for (const key of unanswered) {
      const [first, second] = [await order(client, key), await order(client, key)];
      expect([first.status, second.status, second.body.id]).toEqual([201, 201, first.body.id]);
      orders.set(key, first.body.id);
    }
    client.close();
    expect(new Set(orders.values()).size).toBe(orders.size);
    expect(await database.query('select from orders')).toHaveLength(orders.size);
    await expectStockAddsUp(database);
  }
  expect(await service.end('SIGTERM')).toMatchObject({ code: 0 });
});
