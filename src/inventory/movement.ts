import type { Static } from '@sinclair/typebox';

import type { MovementSchema } from './movement.schemas.ts';
import type { MovementKind } from './stock-book.ts';

/** One line of the ledger, as callers see it. */
export type Movement = Static<typeof MovementSchema>;

export interface MovementFilter {
  kind: MovementKind | undefined;
  order_id: number | undefined;
  created_from: string | undefined;
  created_to: string | undefined;
}

/** What a change by hand has made of the stock. */
export interface AdjustedStock {
  movement: Movement;
  stock: number;
  reserved: number;
  on_hand: number;
  version: number;
}

/** How the counters of a product come about, from its ledger alone. */
export interface StockExplanation {
  product_id: number;
  sku: string;
  as_of: string;
  /** `total` is received + adjusted − shipped. */
  on_hand: { total: number; received: number; adjusted: number; shipped: number };
  reserved: {
    total: number;
    /** The newest orders that hold some of it, the newest first. */
    orders: { order_id: number; quantity: number }[];
    /** Those that are not listed. */
    other_orders: { count: number; quantity: number };
  };
  stock: number;
  /** The counters as they are stored; at a time in the past, as its last movement recorded them. */
  stored: { on_hand: number; reserved: number };
  matches: boolean;
}
