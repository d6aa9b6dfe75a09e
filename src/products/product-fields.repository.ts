import { type Insertable, type RawBuilder, sql } from 'kysely';

import {
  bareTextField,
  type JsonField,
  jsonObject,
  moneyField,
  nullableField,
  plainField,
  textField,
  timeField,
} from '../db/row-json.ts';
import type { DB } from '../db/schema.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { NewProduct, Product } from './product.ts';

/** Where each field of a product comes from. Every statement that reads products is made from this list. */
const FIELDS: Record<keyof Product, JsonField> = {
  id: plainField('id'),
  sku: bareTextField('sku'),
  name: textField('name'),
  description: nullableField('description'),
  price: moneyField('price'),
  stock: plainField('(on_hand - reserved)'),
  reserved: plainField('reserved'),
  on_hand: plainField('on_hand'),
  active: plainField('active'),
  low_stock_threshold: nullableField('low_stock_threshold'),
  version: plainField('version'),
  created_at: timeField('created_at'),
  updated_at: timeField('updated_at'),
};

/** What can be sold now, for filters. */
export const sellable = sql.raw<number>(FIELDS.stock.sql);

export type ProductRow = Omit<Product, 'price'> & { price: string };

/** The columns of a ProductRow; Kysely cannot know their types, so a query says `$castTo<ProductRow>()`. */
export const productColumns = Object.entries(FIELDS).map(([name, { sql: value }]) => sql.raw(value).as(name));

export function rowToProduct(row: ProductRow): Product {
  return { ...row, price: Number(row.price) };
}

/** A product as PostgreSQL writes its JSON. */
export const PRODUCT_JSON = jsonObject(FIELDS);

/** The columns that callers set, and their types. */
const EDITABLE = {
  sku: 'text',
  name: 'text',
  description: 'text',
  price: 'numeric',
  active: 'boolean',
  low_stock_threshold: 'bigint',
} as const;

type EditableColumns = Pick<Insertable<DB['products']>, keyof typeof EDITABLE>;

/** What a caller set, as columns hold it. */
export function toColumns(product: NewProduct): EditableColumns;
export function toColumns(product: Partial<NewProduct>): Partial<EditableColumns>;
export function toColumns({ priceCents, ...fields }: Partial<NewProduct>): Partial<EditableColumns> {
  return priceCents === undefined ? fields : { ...fields, price: centsToDecimal(priceCents) };
}

/** The columns of an UPDATE. Its text is the same for all combinations of fields, so that it is planned once. */
export function assignments(edit: Partial<NewProduct>): RawBuilder<unknown> {
  const given = toColumns(edit);
  return sql.join(
    Object.entries(EDITABLE).map(([name, type]) => {
      const value = given[name as keyof EditableColumns];
      const column = sql.ref(name);
      return sql`${column} = case when ${value !== undefined}::boolean then ${value ?? null}::${sql.raw(type)} else ${column} end`;
    }),
  );
}
