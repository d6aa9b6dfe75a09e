import type { Static } from '@sinclair/typebox';

import type { StockedProduct } from '../inventory/stock-book.ts';
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
  low_stock_threshold: number | null;
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

export function stockOf(product: Product): StockedProduct {
  return {
    id: product.id,
    onHand: product.on_hand,
    reserved: product.reserved,
    sku: product.sku,
    version: product.version,
    lowStockThreshold: product.low_stock_threshold,
  };
}

export function productNotFound(): never {
  throw new AppError('product_not_found', 'Product not found');
}

export function productHasOrders(cause?: unknown): AppError {
  return new AppError('product_has_orders', 'Orders name this product; deactivate it instead', { cause });
}
