import { sql } from 'kysely';
import { expect, test } from 'vitest';

import { TransactionRolledBackError } from '../../src/db/pg-errors.ts';
import { inTransaction } from '../../src/db/transaction.ts';
import { useTestService } from '../support/service.ts';

const insert = (sku: string) => sql`insert into products (sku, name, price) values (${sku}, 'A thing', 1)`;
const skus = 'select sku from products order by id';

test('a swallowed SQL error inside a transaction makes it throw: COMMIT answered ROLLBACK, nothing is stored', async () => {
  const { own, database } = await useTestService();
  const work = inTransaction(own.db, async (tx) => {
    await insert('BEFORE').execute(tx);
    await sql`select 1 / 0`.execute(tx).catch(() => undefined);
    return 'done';
  });
  await expect(work).rejects.toBeInstanceOf(TransactionRolledBackError);
  expect(await database.query(skus)).toEqual([]);
});

test('Kysely by itself throws too, for the tag of COMMIT is checked in its driver', async () => {
  const { own } = await useTestService();
  const work = own.db.transaction().execute((tx) => sql`select 1 / 0`.execute(tx).catch(() => undefined));
  await expect(work).rejects.toThrow('COMMIT answered ROLLBACK');
});

test('an error thrown by the work rolls back and comes out as it is, the work runs once', async () => {
  const { own, database } = await useTestService();
  let runs = 0;
  const work = inTransaction(own.db, async (tx) => {
    runs += 1;
    await insert('GONE').execute(tx);
    throw new RangeError('no');
  });
  await expect(work).rejects.toThrow(new RangeError('no'));
  expect(runs).toBe(1);
  expect(await database.query(skus)).toEqual([]);
});

test('two transactions that deadlock are both done in the end: one is run again', async () => {
  const { own, database } = await useTestService();
  const ids = ['A', 'B'].map((sku) => insert(sku));
  for (const each of ids) await each.execute(own.db);
  let runs = 0;
  const both: (() => void)[] = [];
  /** Resolves when both transactions hold their first row, and at once from then on. */
  const meet = () =>
    new Promise<void>((resolve) => {
      both.push(resolve);
      if (both.length >= 2) for (const go of both) go();
    });
  const rename = (first: string, second: string) =>
    inTransaction(own.db, async (tx) => {
      runs += 1;
      // PostgreSQL looks for deadlocks after 1 s, which is also the lock timeout: look earlier, wait longer.
      await sql`set local deadlock_timeout = 50`.execute(tx);
      await sql`set local lock_timeout = 3000`.execute(tx);
      await sql`update products set name = name || '!' where sku = ${first}`.execute(tx);
      await meet();
      await sql`update products set name = name || '!' where sku = ${second}`.execute(tx);
    });
  await Promise.all([rename('A', 'B'), rename('B', 'A')]);
  expect(runs).toBe(3);
  expect(await database.query('select name from products')).toEqual([
    { name: 'A thing!!' },
    { name: 'A thing!!' },
  ]);
});

test('work that fails to serialize for ever is run 4 times and then throws', async () => {
  const { own } = await useTestService();
  let runs = 0;
  const work = inTransaction(own.db, async (tx) => {
    runs += 1;
    await sql`do $$ begin raise exception 'again' using errcode = '40001'; end $$`.execute(tx);
  });
  await expect(work).rejects.toMatchObject({ code: '40001' });
  expect(runs).toBe(4);
});
