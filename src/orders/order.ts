import type { OrderStatus } from './order-state.ts';

export interface OrderItem {
  product_id: number;
  sku: string;
  quantity: number;
  unit_price: number;
}

/** An order as callers see it. An order of one item also shows it the way a request for one item names it. */
export interface Order {
  id: number;
  status: OrderStatus;
  items: OrderItem[];
  total: number;
  customer_email: string | null;
  version: number;
  /** Null where it may stay unpaid for ever. It stays when the order goes on, but only a PENDING order expires. */
  expires_at: string | null;
  created_at: string;
  updated_at: string;
  /** Only on an order that was canceled after it was paid. */
  refund_due?: true;
  product_id?: number;
  quantity?: number;
}

/** A dry run answers what an order would be; it has no id, because it never was one. */
export type OrderPreview = Omit<Order, 'id'>;

export interface RequestedItem {
  productId: number;
  quantity: number;
}

export interface NewOrder {
  /** In the order of the request, each product once. */
  items: readonly RequestedItem[];
  customerEmail: string | null;
  /** What the buyer was shown; undefined for whatever it costs. */
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
export interface OrderTransition {
  from: OrderStatus | null;
  to: OrderStatus;
  at: string;
  actor: string;
  /** What made it happen: `placed`, `request`, `expired`, or the payment event's type. */
  cause: string;
  version: number;
  request_id: string | null;
  refund_due: boolean;
}

/** The members that repeat the only item, or none. */
export function soleItem(items: readonly OrderItem[]): Pick<Order, 'product_id' | 'quantity'> {
  const [item] = items;
  return items.length === 1 && item !== undefined
    ? { product_id: item.product_id, quantity: item.quantity }
    : {};
}
