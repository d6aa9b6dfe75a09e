import type { Client } from 'pg';
import { expect, test } from 'vitest';

import { inTransaction } from '../../src/db/transaction.ts';
import { lockStock } from '../../src/inventory/stock.repository.ts';
import { lockOrders } from '../../src/orders/order.repository.ts';
import { lockProduct } from '../../src/products/product.repository.ts';
import { observeStatements, type Statement } from '../support/race.ts';
import { type TestService, useTestService } from '../support/service.ts';

/** Records what the service sends from now on, one list for each transaction. */
function recordTransactions(service: TestService): Statement[][] {
  const transactions: Statement[][] = [];
  const current = new Map<Client, Statement[]>();
  observeStatements(service, ({ text, ...statement }) => {
    if (/^\s*begin/i.test(text)) {
      const transaction: Statement[] = [];
      current.set(statement.client, transaction);
      transactions.push(transaction);
    }
    const plain = text.replaceAll('"', '').replaceAll(/\s+/g, ' ').toLowerCase();
    current.get(statement.client)?.push({ ...statement, text: plain });
  });
  return transactions;
}

const ORDERED_LOCK = /from products where .* order by id for update\b/;
const SINGLE_LOCK = /from products where id = \$1 for update$/;
const STOCK_UPDATE = /\bupdate products\b.*\b(on_hand|reserved) = |\bdelete from products\b/;

/** The ids of a lock's first parameter: one, a list, or the literal of an array. */
function idsOf(value: unknown): unknown[] {
  return typeof value === 'string' ? (JSON.parse(`[${value.slice(1, -1)}]`) as number[]) : [value].flat();
}

/** The products that a transaction had locked before it wrote stock, or undefined when it wrote none. */
function lockedBeforeWrite(transaction: Statement[]): unknown[] | undefined {
  const write = transaction.findIndex(({ text }) => STOCK_UPDATE.test(text));
  if (write === -1) return undefined;
  return transaction
    .slice(0, write)
    .filter(({ text }) => ORDERED_LOCK.test(text) || SINGLE_LOCK.test(text))
    .flatMap(({ values }) => idsOf(values[0]));
}

test('an order of 3 items locks its products by one ordered FOR UPDATE, before any stock is written', async () => {
  const service = await useTestService();
  const transactions = recordTransactions(service);
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => service.createProduct()));
  const ids = [c?.id, a?.id, b?.id];
  transactions.length = 0;
  const items = ids.map((product_id) => ({ product_id, quantity: 1 }));
  expect((await service.call('POST', '/orders', { items })).status).toBe(201);

  expect(transactions).toHaveLength(1);
  const [placing = []] = transactions;
  const locks = placing.filter(({ text }) => text.includes('for update'));
  expect(locks.map(({ text }) => text)).toEqual([expect.stringMatching(ORDERED_LOCK)]);
  expect(new Set(lockedBeforeWrite(placing))).toEqual(new Set(ids));
});

test('cancel, ship, webhook, edit of the stock, adjustment and delete: every write of stock comes after the lock of its product', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  const unsold = await service.createProduct();
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => service.placeOrder(id, 1)));
  await service.call('PUT', `/orders/${two?.id}`, { status: 'PAID' });
  const transactions = recordTransactions(service);
  const calls = [
    () => service.call('DELETE', `/orders/${one?.id}`),
    () => service.call('PUT', `/orders/${two?.id}`, { status: 'SHIPPED' }),
    () => service.pay({ event_type: 'payment.failed', order_id: three?.id }),
    () => service.call('PATCH', `/products/${id}`, { stock: 5 }),
    () => service.call('POST', `/products/${id}/stock-adjustments`, { delta: 1, reason: 'found' }),
    () => service.call('DELETE', `/products/${unsold.id}`),
  ];
  for (const call of calls) expect((await call()).status).toBeLessThan(300);
  expect(transactions.map(lockedBeforeWrite)).toEqual([[id], [id], [id], [id], [id], [unsold.id]]);
});

test('a lock outside of a transaction does not compile', async () => {
  const { own } = await useTestService();
  const { db } = own;
  const attempts = [
    // @ts-expect-error a lock needs a transaction: Db is not Tx
    () => lockStock(db, [1]),
    // @ts-expect-error a lock needs a transaction: Db is not Tx
    () => lockProduct(db, 1),
    // @ts-expect-error a lock needs a transaction: Db is not Tx
    () => lockOrders(db, [1]),
  ];
  // The compiler is the judge of those; the same calls with a transaction run.
  expect(attempts).toHaveLength(3);
  const locked = await inTransaction(db, async (tx) => [
    (await lockStock(tx, [1])).ids().length,
    await lockProduct(tx, 1),
    (await lockOrders(tx, [1])).size,
  ]);
  expect(locked).toEqual([0, undefined, 0]);
});
