import { readdir, readFile } from 'node:fs/promises';

import { type Migration, Migrator, sql } from 'kysely';
import { beforeEach, expect, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { openForMigrations } from '../../src/db/database.ts';
import { migrationsDir } from '../../src/db/paths.ts';
import { StartupError } from '../../src/lib/startup-error.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/* Databases of older versions, with data that a newer rule does not allow. */

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase('template1');
  onTestFinished(() => database.drop());
});

function options() {
  return { url: database.url, pgbouncer: false, onIdleError: () => undefined };
}

/** Runs the migrations that come before the named one. */
async function migrateToBefore(name: string): Promise<void> {
  const files = (await readdir(migrationsDir)).filter((file) => file.endsWith('.sql') && file < name);
  const entries = files.map(async (file) => {
    const text = await readFile(`${migrationsDir}/${file}`, 'utf8');
    const up: Migration['up'] = async (db) => void (await sql.raw(text).execute(db));
    return [file.replace('.sql', ''), { up }] as const;
  });
  const migrations = Object.fromEntries(await Promise.all(entries));
  const db = openForMigrations(options());
  const provider = { getMigrations: async () => migrations };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  await db.destroy();
  if (error !== undefined) throw error;
}

async function refusal(): Promise<string> {
  const failed: unknown = await migrateDatabase(options()).catch((error: unknown) => error);
  if (!(failed instanceof StartupError)) throw new Error('the migration did not refuse in a sentence');
  return failed.message;
}

async function insert(sku: string, onHand: number, reserved = 0): Promise<void> {
  const text = 'insert into products (sku, name, price, on_hand, reserved) values ($1, $1, 1, $2, $3)';
  await database.query(text, [sku, onHand, reserved]);
}

test('SKUs that differ only in case: refused in a sentence that names them, and nothing is changed; renamed, it goes on', async () => {
  await migrateToBefore('0009');
  for (const sku of ['MUG', 'tea', 'mug', 'Tea', 'Mug', 'cup']) await insert(sku, 1);
  expect(await refusal()).toContain(
    'MUG (product 1) and mug (product 3) and Mug (product 5), tea (product 2) and Tea (product 4). Rename or delete',
  );
  // The version before still runs: it knows SKUs by their spelling.
  await insert('MuG', 1);
  await database.query("update products set sku = 'S' || id where sku <> 'cup'");
  expect((await migrateDatabase(options())).migrated).toContain('0009_limit_stock_and_skus');
  await expect(insert('CUP', 1)).rejects.toThrow('products_sku_key');
});

test('more than 1,000,000,000 on hand: refused in a sentence that names the products; lowered, it goes on', async () => {
  await migrateToBefore('0009');
  await insert('FULL', 1_000_000_000, 1_000_000_000);
  await insert('FULLER', 2_000_000_000, 1_000_000_000);
  await database.query(
    `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, actor)
     values (2, 'received', 2000000000, 2000000000, 0, 'test')`,
  );
  expect(await refusal()).toContain('on hand of FULLER (product 2). Lower their stock');
  await database.query('update products set on_hand = 1000000000 where id = 2');
  expect((await migrateDatabase(options())).migrated).toContain('0009_limit_stock_and_skus');
  // What the ledger says of earlier times stays.
  expect(await database.query('select from stock_movements')).toHaveLength(1);
});
