import type { Static } from '@sinclair/typebox';

import type { StockCounters } from '../inventory/stock-book.ts';
import { AppError } from '../lib/errors.ts';
import type { ProductSchema } from './product.schemas.ts';

/** A product as callers see it; the schema of its answer is the one list of its fields. */
export type Product = Static<typeof ProductSchema>;

export interface NewProduct {
  sku: string;
  name: string;
  description: string | null;
  priceCents: number;
  active: boolean;
}

/** The fields that an edit names; the others stay as they are. */
export interface ProductEdit extends Partial<NewProduct> {
  /** How many can be sold now, on top of what is reserved. */
  stock?: number;
}

export interface ProductFilter {
  q: string | undefined;
  sku: string | undefined;
  active: boolean | undefined;
  stock_below: number | undefined;
}

export function countersOf(product: Product): StockCounters {
  return { id: product.id, onHand: product.on_hand, reserved: product.reserved };
}

export function productNotFound(): never {
  throw new AppError('product_not_found', 'Product not found');
}

export function productHasOrders(cause?: unknown): AppError {
  return new AppError('product_has_orders', 'Orders name this product; deactivate it instead', { cause });
}
