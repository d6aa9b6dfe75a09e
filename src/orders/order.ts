import type { Static } from '@sinclair/typebox';

import type { OrderTransitionSchema } from './order-history.schemas.ts';
import type { OrderItemSchema, OrderSchema } from './order.schemas.ts';
import type { OrderMoney } from './order-money.ts';
import type { OrderStatus } from './order-state.ts';

export type OrderItem = Static<typeof OrderItemSchema>;

/** An order as callers see it. An order of one item also shows it the way a request for one item names it. */
export type Order = Static<typeof OrderSchema>;

/** An order that a transaction has locked, with the money that its rules decide by. */
export interface LockedOrder extends Order {
  readonly money: OrderMoney;
}

/** A dry run answers what an order would be; it has no id, because it never was one. */
export type OrderPreview = Omit<Order, 'id'>;

/** What every order of the shop has in common. */
export interface OrderTerms {
  /** How long an order may stay unpaid; 0 for ever. */
  ttlMinutes: number;
  /** ISO 4217 */
  currency: string;
}

export interface RequestedItem {
  productId: number;
  quantity: number;
}

export interface NewOrder {
  /** In the order of the request, each product once. */
  items: readonly RequestedItem[];
  customerEmail: string | null;
  /** What the buyer was shown; undefined when any total will do. */
  expectedTotalCents: number | undefined;
}

export interface OrderFilter {
  status: OrderStatus | undefined;
  product_id: number | undefined;
  customer_email: string | undefined;
  created_from: string | undefined;
  created_to: string | undefined;
}

/** One step of an order's life. */
export type OrderTransition = Static<typeof OrderTransitionSchema>;

/** The members that repeat the only item, or none. */
export function soleItem(items: readonly OrderItem[]): Pick<Order, 'product_id' | 'quantity'> {
  const [item] = items;
  return items.length === 1 && item !== undefined
    ? { product_id: item.product_id, quantity: item.quantity }
    : {};
}
