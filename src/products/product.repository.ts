import { CompiledQuery, type SelectQueryBuilder, sql } from 'kysely';

import { plainArray } from '../db/pg-array.ts';
import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PageRequest } from '../lib/page.ts';
import { type NewProduct, type Product, type ProductFilter, productNotFound } from './product.ts';

/** What can be sold now: the one expression behind every answer and filter. */
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

/** Many products by their ids, in no particular order; ids that are not there are missing. */
export async function findProducts(db: Db, ids: readonly number[]): Promise<Product[]> {
  const { rows } = await db.executeQuery<ProductRow>(CompiledQuery.raw(PRODUCTS_BY_ID, [plainArray(ids)]));
  return rows.map(rowToProduct);
}

/** The text that Kysely would build anew for every read. */
const PRODUCTS_BY_ID = `
  select id, sku, name, description, price, on_hand - reserved as stock, reserved, on_hand, active, version,
         created_at, updated_at
    from products
   where id = any($1::bigint[])`;

async function findProduct(db: Db, id: number): Promise<Product | undefined> {
  const [product] = await findProducts(db, [id]);
  return product;
}

/** @throws AppError product_not_found */
export async function getProduct(db: Db, id: number): Promise<Product> {
  return (await findProduct(db, id)) ?? productNotFound();
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
  let query = db.selectFrom('products').select(columns);
  query = filtered(query, filter);
  const ascending = page.sort === 'id';
  if (page.afterId !== undefined) query = query.where('id', ascending ? '>' : '<', page.afterId);
  if (page.skip > 0) query = query.offset(page.skip);
  const rows = await query
    .orderBy('id', ascending ? 'asc' : 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(rowToProduct);
}

function filtered<O>(query: SelectQueryBuilder<DB, 'products', O>, filter: ProductFilter): typeof query {
  const { q, sku, active, stock_below } = filter;
  let result = query;
  if (q !== undefined) {
    // The caller's text is looked for as it is: what LIKE would read as a wildcard is escaped.
    const pattern = `%${q.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
    result = result.where((eb) => eb.or([eb('name', 'ilike', pattern), eb('sku', 'ilike', pattern)]));
  }
  if (sku !== undefined) result = result.where('sku', '=', sku);
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

/** Writes the named fields only. `raiseVersion` is false when this transaction has raised it already. */
export async function updateProduct(
  tx: Tx,
  id: number,
  edit: Partial<NewProduct>,
  raiseVersion: boolean,
): Promise<void> {
  const { priceCents, ...fields } = edit;
  await tx
    .updateTable('products')
    .set({
      ...fields,
      ...(priceCents === undefined ? {} : { price: centsToDecimal(priceCents) }),
      version: sql`version + ${raiseVersion ? 1 : 0}::int`,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .execute();
}

export async function deleteProduct(tx: Tx, id: number): Promise<void> {
  await tx.deleteFrom('products').where('id', '=', id).execute();
}

/** Whether any order, of whatever state, names the product. */
export async function hasOrders(tx: Tx, id: number): Promise<boolean> {
  const row = await tx
    .selectFrom('order_items')
    .select('order_id')
    .where('product_id', '=', id)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
