import { CompiledQuery, type SelectQueryBuilder, sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import { plainArray } from '../db/pg-array.ts';
import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PageRequest } from '../lib/page.ts';
import type { ReadyRow } from '../lib/ready-answer.ts';
import { type NewProduct, type Product, type ProductFilter, productNotFound } from './product.ts';

/** What can be sold now: the one expression behind every list and filter (`READY_PRODUCTS` repeats it). */
const sellable = sql<number>`(on_hand - reserved)`;

const columns = [
  'id',
  'sku',
  'name',
  'description',
  'price',
  sellable.as('stock'),
  'reserved',
  'on_hand',
  'active',
  'version',
  'created_at',
  'updated_at',
] as const;

type ProductRow = Omit<Product, 'price'> & { price: string };

function rowToProduct(row: ProductRow): Product {
  return { ...row, price: Number(row.price) };
}

/** Many products by their ids, written as callers see them; in no particular order, and without ids that are not there. */
export async function findReadyProducts(db: Db, ids: readonly number[]): Promise<ReadyRow[]> {
  const { rows } = await db.executeQuery<ReadyRow>(CompiledQuery.raw(READY_PRODUCTS, [plainArray(ids)]));
  return rows;
}

/**
 * PostgreSQL's JSON of a time leaves out zeros at the end of its fraction: a microsecond more makes it write six digits,
 * and the last three are cut off. to_char would take twice as long.
 */
const jsonTime = (column: string) =>
  `left(to_json(${column} at time zone interval '0' + interval '1 microsecond')::text, -4)`;

const LONGEST_TIME_LENGTH = '120260-01-02T03:04:05.678'.length;

/** As JavaScript writes a time: a year of more than four digits has a sign, and six of them. */
const isoTime = (column: string) => `
  case when ${column} < timestamptz '10000-01-01 00:00+00' then ${jsonTime(column)}
       else '"+' || lpad(substr(${jsonTime(column)}, 2), ${LONGEST_TIME_LENGTH}, '0') end || 'Z"'`;

/**
 * PostgreSQL writes the JSON: to take a dozen columns apart and write them down here took three times as long, on the
 * one core there is for it. Whoever changes it changes `Product` too; a test holds the two against each other.
 */
const READY_PRODUCTS = `
  select id, version,
         '{"id":' || id || ',"sku":"' || sku || '","name":' || to_json(name)
         || ',"description":' || coalesce(to_json(description)::text, 'null')
         || ',"price":' || trim_scale(price) || ',"stock":' || (on_hand - reserved) || ',"reserved":' || reserved
         || ',"on_hand":' || on_hand || ',"active":' || active || ',"version":' || version
         || ',"created_at":' || ${isoTime('created_at')}
         || ',"updated_at":' || ${isoTime('updated_at')} || '}' as json
    from products
   where id = any($1::bigint[])`;

/** @throws AppError product_not_found */
export async function getProduct(db: Db, id: number): Promise<Product> {
  const row = await db.selectFrom('products').select(columns).where('id', '=', id).executeTakeFirst();
  return row === undefined ? productNotFound() : rowToProduct(row);
}

/** Reads a product and keeps others from changing or deleting it until the transaction ends. */
export async function lockProduct(tx: Tx, id: number): Promise<Product | undefined> {
  const row = await tx
    .selectFrom('products')
    .select(columns)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row && rowToProduct(row);
}

export async function listProducts(db: Db, filter: ProductFilter, page: PageRequest): Promise<Product[]> {
  const query = filtered(db.selectFrom('products').select(columns), filter);
  const rows = await onPage(query, 'products', page).execute();
  return rows.map(rowToProduct);
}

function filtered<O>(query: SelectQueryBuilder<DB, 'products', O>, filter: ProductFilter): typeof query {
  const { q, sku, active, stock_below } = filter;
  let result = query;
  if (q !== undefined) {
    // The caller's text is looked for as it is: what LIKE would read as a wildcard is escaped.
    const pattern = `%${q.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
    result = result.where(
      sql<boolean>`(search_text(name) like search_text(${pattern}) or search_text(sku) like search_text(${pattern}))`,
    );
  }
  // A SKU is ASCII, of which both sides make the same lower case; products_sku_key finds it.
  if (sku !== undefined) result = result.where(sql<string>`lower(sku)`, '=', sku.toLowerCase());
  if (active !== undefined) result = result.where('active', '=', active);
  if (stock_below !== undefined) result = result.where(sellable, '<', stock_below);
  return result;
}

/** @throws the violation of products_sku_key when the SKU is taken (409, by its name in `pg-errors.ts`) */
export async function insertProduct(tx: Tx, product: NewProduct, onHand: number): Promise<number> {
  const { priceCents, ...fields } = product;
  const { id } = await tx
    .insertInto('products')
    .values({ ...fields, price: centsToDecimal(priceCents), on_hand: onHand })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/**
 * Writes the fields that are given, and raises the version.
 * @param onHand from the stock book, whose movements the same transaction writes; undefined where no stock moves
 */
export async function updateProduct(
  tx: Tx,
  id: number,
  edit: Partial<NewProduct>,
  onHand: number | undefined,
): Promise<void> {
  const { sku, name, description, priceCents, active } = edit;
  // One text for all combinations of fields, so that it is planned once. Only a description may be set to nothing.
  await sql`
    update products
       set sku = coalesce(${sku ?? null}, sku), name = coalesce(${name ?? null}, name),
           description = case when ${description !== undefined}::boolean then ${description ?? null} else description end,
           price = coalesce(${priceCents === undefined ? null : centsToDecimal(priceCents)}::numeric, price),
           active = coalesce(${active ?? null}::boolean, active),
           on_hand = coalesce(${onHand ?? null}::bigint, on_hand), version = version + 1, updated_at = now()
     where id = ${id}
  `.execute(tx);
}

export async function deleteProduct(tx: Tx, id: number): Promise<void> {
  await tx.deleteFrom('products').where('id', '=', id).execute();
}

/** Whether any order, of whatever state, names the product. */
export async function hasOrders(tx: Tx, id: number): Promise<boolean> {
  const row = await tx
    .selectFrom('stock_movements')
    .select('order_id')
    .where('product_id', '=', id)
    .where('order_id', 'is not', null)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
