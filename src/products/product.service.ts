import type { IdReader } from '../db/id-reader.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import { type Once, runOnce } from '../idempotency/run-once.tx.ts';
import type { RequestContext } from '../idempotency/context.ts';
import { bookOf, type StockChange } from '../inventory/stock-book.ts';
import { insertMovements } from '../inventory/stock.repository.ts';
import { writeStockAlerts } from '../inventory/write-stock.tx.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { centsToNumber } from '../lib/money.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import type { ReadyAnswer } from '../lib/ready-answer.ts';
import { requireVersion, type VersionMatch } from '../lib/versions.ts';
import {
  deleteProduct,
  getProduct,
  hasOrders,
  insertProduct,
  listProducts,
  lockProduct,
  updateProduct,
} from './product.repository.ts';
import { productCreated, productDeleted, productUpdated } from './product.events.ts';
import {
  stockOf,
  type NewProduct,
  type Product,
  type ProductEdit,
  type ProductFilter,
  productHasOrders,
  productNotFound,
} from './product.ts';

export type ProductService = ReturnType<typeof createProductService>;

export interface ProductServiceDependencies {
  db: Db;
  lists: Db;
  reader: IdReader;
  /** The threshold of products that are created without one; 0 for none. */
  lowStockThreshold: number;
}

/** A product to create; what is left out has a default. */
export type ProductToCreate = Omit<NewProduct, 'low_stock_threshold'> & {
  stock: number;
  low_stock_threshold?: number | null;
};

export function createProductService({ db, lists, reader, lowStockThreshold }: ProductServiceDependencies) {
  return {
    /** @throws AppError duplicate_sku, idempotency_key_reused */
    create(product: ProductToCreate, { caller, key }: RequestContext): Promise<Once<Product>> {
      const byDefault = lowStockThreshold === 0 ? null : lowStockThreshold;
      const complete = { low_stock_threshold: byDefault, ...product };
      return inTransaction(db, (tx) => runOnce(tx, key, 201, () => createProduct(tx, complete, caller)));
    },

    async get(id: number): Promise<ReadyAnswer> {
      return (await reader.find(id)) ?? productNotFound();
    },

    async list(filter: ProductFilter, query: PageQuery): Promise<Page<Product>> {
      const filters = { ...filter };
      const page = pageRequest(query, 'id', filters);
      return toPage(await listProducts(lists, filter, page), page, filters);
    },

    /** @throws AppError product_not_found, duplicate_sku, stock_out_of_range, version_mismatch */
    edit(id: number, edit: ProductEdit, { caller, ifMatch }: RequestContext): Promise<Product> {
      return inTransaction(db, (tx) => editProduct(tx, id, edit, caller, ifMatch));
    },

    /** @throws AppError product_not_found, product_has_orders, version_mismatch */
    remove(id: number, { caller, ifMatch }: RequestContext): Promise<void> {
      return inTransaction(db, (tx) => removeProduct(tx, id, caller, ifMatch));
    },
  };
}

async function createProduct(tx: Tx, { stock, ...fields }: NewProduct & { stock: number }, caller: Caller) {
  const id = await insertProduct(tx, fields, stock);
  const initial = { kind: 'received', reason: 'initial stock' } as const;
  const book = bookOf({ id, onHand: 0, reserved: 0 });
  accept(book.setSellable(id, stock, initial, caller));
  await insertMovements(tx, book.changes);
  const product = await getProduct(tx, id);
  await appendEvents(tx, [newEvent(productCreated, product, { product }, caller)]);
  return product;
}

async function editProduct(
  tx: Tx,
  id: number,
  { stock, ...fields }: ProductEdit,
  caller: Caller,
  ifMatch: VersionMatch | undefined,
): Promise<Product> {
  // Everything below is decided on the locked row, so that edits of different fields both survive and an order placed
  // a moment ago is counted in.
  const before = (await lockProduct(tx, id)) ?? productNotFound();
  requireVersion(ifMatch, before);
  const changedFields = fieldsThatDiffer(before, fields);
  const setting = { kind: 'adjusted', reason: 'stock set' } as const;
  const book = bookOf(stockOf(before));
  const adjusted = stock === undefined ? undefined : accept(book.setSellable(id, stock, setting, caller));
  if (adjusted === undefined && Object.keys(changedFields).length === 0) return before;
  await updateProduct(tx, id, changedFields, adjusted?.onHandAfter);
  await insertMovements(tx, book.changes);
  await writeStockAlerts(tx, book);
  const after = await getProduct(tx, id);
  await appendEvents(tx, [newEvent(productUpdated, after, { product: after, before }, caller)]);
  return after;
}

async function removeProduct(tx: Tx, id: number, caller: Caller, ifMatch: VersionMatch | undefined) {
  // An order that is being placed holds or waits for this lock, so it is either seen by hasOrders or finds no product.
  const product = (await lockProduct(tx, id)) ?? productNotFound();
  requireVersion(ifMatch, product);
  if (await hasOrders(tx, id)) throw productHasOrders();
  const deletion = { kind: 'adjusted', reason: 'product deleted' } as const;
  const book = bookOf(stockOf(product));
  accept(book.setSellable(id, 0, deletion, caller));
  await insertMovements(tx, book.changes);
  await deleteProduct(tx, id);
  const deleted = { ...product, version: product.version + 1 };
  await appendEvents(tx, [newEvent(productDeleted, deleted, { product: deleted }, caller)]);
}

/** @throws the refusal, which rolls the transaction back */
function accept(change: StockChange | AppError | undefined): StockChange | undefined {
  if (change instanceof AppError) throw change;
  return change;
}

function fieldsThatDiffer(before: Product, edit: Partial<NewProduct>): Partial<NewProduct> {
  const current: Record<string, unknown> = { ...before };
  const entries = Object.entries(edit).filter(([name, value]) =>
    name === 'priceCents' ? centsToNumber(value as number) !== before.price : value !== current[name],
  );
  return Object.fromEntries(entries);
}
