import type { Static } from '@sinclair/typebox';

import { toCents } from '../lib/money.ts';
import { toPeriod } from '../lib/instant.ts';
import type { CreateOrderBody, ListOrdersQuery } from './order.schemas.ts';
import type { NewOrder, OrderFilter } from './order.ts';

/** The order that a body asks for, in either of its forms; the schema has seen to it that it is one of them, and whole. */
export function toNewOrder(body: Static<typeof CreateOrderBody>): NewOrder {
  const { product_id, quantity, items, customer_email = null, expected_total } = body;
  const requested = items ?? [{ product_id: product_id ?? 0, quantity: quantity ?? 0 }];
  return {
    items: requested.map((item) => ({ productId: item.product_id, quantity: item.quantity })),
    customerEmail: customer_email,
    expectedTotalCents: expected_total === undefined ? undefined : toCents(expected_total),
  };
}

/** What an Idempotency-Key stands for: the same items in another order are the same order. */
export function orderCommand(order: NewOrder): NewOrder {
  return { ...order, items: order.items.toSorted((a, b) => a.productId - b.productId) };
}

/** @throws AppError validation_failed for a time that the calendar or the database does not have */
export function toOrderFilter(query: Static<typeof ListOrdersQuery>): OrderFilter {
  return {
    status: query.status,
    product_id: query.product_id,
    customer_email: query.customer_email,
    ...toPeriod(query),
  };
}
