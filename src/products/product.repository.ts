import { CompiledQuery, type SelectQueryBuilder, sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import { plainArray } from '../db/pg-array.ts';
import { type ConstraintErrors, explainViolations } from '../db/pg-errors.ts';
import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import { AppError } from '../lib/errors.ts';
import type { PageRequest } from '../lib/page.ts';
import type { ReadyRow } from '../lib/ready-answer.ts';
import {
  assignments,
  PRODUCT_JSON,
  productColumns,
  type ProductRow,
  rowToProduct,
  sellable,
  toColumns,
} from './product-fields.repository.ts';
import {
  type NewProduct,
  type Product,
  type ProductFilter,
  productHasOrders,
  productNotFound,
} from './product.ts';

/** The constraints that a caller can run into. The others would show a fault of ours. */
const VIOLATIONS: ConstraintErrors = {
  products_sku_key: (cause) =>
    new AppError('duplicate_sku', 'Product with this SKU already exists', { cause }),
  products_not_in_orders: (cause) => productHasOrders(cause),
};

/** Many products by their ids, written as callers see them; in no particular order, and without ids that are not there. */
export async function findReadyProducts(db: Db, ids: readonly number[]): Promise<ReadyRow[]> {
  const { rows } = await db.executeQuery<ReadyRow>(CompiledQuery.raw(READY_PRODUCTS, [plainArray(ids)]));
  return rows;
}

const READY_PRODUCTS = `
  select id, version, ${PRODUCT_JSON} as json
    from products
   where id = any($1::bigint[])`;

/** @throws AppError product_not_found */
export async function getProduct(db: Db, id: number): Promise<Product> {
  const row = await selectProducts(db).where('id', '=', id).executeTakeFirst();
  return row === undefined ? productNotFound() : rowToProduct(row);
}

/** Reads a product and keeps others from changing or deleting it until the transaction ends. */
export async function lockProduct(tx: Tx, id: number): Promise<Product | undefined> {
  const row = await selectProducts(tx).where('id', '=', id).forUpdate().executeTakeFirst();
  return row && rowToProduct(row);
}

function selectProducts(db: Db) {
  return db.selectFrom('products').select(productColumns).$castTo<ProductRow>();
}

export async function listProducts(db: Db, filter: ProductFilter, page: PageRequest): Promise<Product[]> {
  const query = filtered(selectProducts(db), filter);
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

/** @throws AppError duplicate_sku */
export async function insertProduct(tx: Tx, product: NewProduct, onHand: number): Promise<number> {
  const insertion = tx
    .insertInto('products')
    .values({ ...toColumns(product), on_hand: onHand })
    .returning('id');
  const { id } = await explainViolations(VIOLATIONS, insertion.executeTakeFirstOrThrow());
  return id;
}

/**
 * Writes the fields that are given, and raises the version.
 * @param onHand from the stock book, whose movements the same transaction writes; undefined where no stock moves
 * @throws AppError duplicate_sku
 */
export async function updateProduct(
  tx: Tx,
  id: number,
  edit: Partial<NewProduct>,
  onHand: number | undefined,
): Promise<void> {
  const update = sql`
    update products
       set ${assignments(edit)}, on_hand = coalesce(${onHand ?? null}::bigint, on_hand),
           version = version + 1, updated_at = now()
     where id = ${id}
  `;
  await explainViolations(VIOLATIONS, update.execute(tx));
}

/** @throws AppError product_has_orders */
export async function deleteProduct(tx: Tx, id: number): Promise<void> {
  await explainViolations(VIOLATIONS, tx.deleteFrom('products').where('id', '=', id).execute());
}

/** Whether any order names the product, in any state. */
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
