import type { Static } from '@sinclair/typebox';

import { type InputFault, validationFailed } from '../lib/errors.ts';
import { toPeriod } from '../lib/instant.ts';
import type { CreateOrderBody, ListOrdersQuery } from './order.schemas.ts';
import type { NewOrder, OrderFilter } from './order.ts';

/**
 * The order that a body asks for, in either of its forms.
 * @throws AppError validation_failed for both forms at once, neither, half of one, or a product that is named twice
 */
export function toNewOrder(body: Static<typeof CreateOrderBody>): NewOrder {
  const { product_id, quantity, items, customer_email = null } = body;
  const faults: InputFault[] = [];
  if (items !== undefined) {
    const message = 'cannot go with items';
    if (product_id !== undefined) faults.push({ path: 'body/product_id', message });
    if (quantity !== undefined) faults.push({ path: 'body/quantity', message });
    const seen = new Set<number>();
    for (const [index, item] of items.entries()) {
      if (seen.has(item.product_id)) {
        faults.push({
          path: `body/items/${index}/product_id`,
          message: 'is named twice; add the quantities up',
        });
      }
      seen.add(item.product_id);
    }
  } else {
    if (product_id === undefined) faults.push({ path: 'body/product_id', message: 'is required' });
    if (quantity === undefined) faults.push({ path: 'body/quantity', message: 'is required' });
  }
  if (faults.length > 0) throw validationFailed(faults);
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
