import type { StockCounters } from '../inventory/stock-book.ts';
import { AppError } from '../lib/errors.ts';

/** A product as callers see it. `price` is a decimal number; `stock` is what can still be sold. */
export interface Product {
  id: number;
  sku: string;
  name: string;
  description: string | null;
  price: number;
  stock: number;
  reserved: number;
  on_hand: number;
  active: boolean;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface NewProduct {
  sku: string;
  name: string;
  description: string | null;
  priceCents: number;
  active: boolean;
}

/** The fields that an edit names; the others stay as they are. */
export interface ProductEdit extends Partial<NewProduct> {
  /** What shall be sellable now, whatever is reserved. */
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
