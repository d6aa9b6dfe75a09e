import type { Static } from '@sinclair/typebox';

import { toPeriod } from '../lib/instant.ts';
import type { CreateOrderBody, ListOrdersQuery } from './order.schemas.ts';
import type { NewOrder, OrderFilter } from './order.ts';

/** The order that a body asks for, in either of its forms; the schema has seen to it that it is one of them, and whole. */
export function toNewOrder(body: Static<typeof CreateOrderBody>): NewOrder {
  const { product_id, quantity, items, customer_email = null } = body;
  const requested = items ?? [{ product_id: product_id ?? 0, quantity: quantity ?? 0 }];
  return {
    items: requested.map((item) => ({ productId: item.product_id, quantity: item.quantity })),
    customerEmail: customer_email,
  };
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
