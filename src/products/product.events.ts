import { defineEvent } from '../events/define-event.ts';
import { ProductSchema } from './product.schemas.ts';

const aggregate = 'product';

export const productCreated = defineEvent('product.created', {
  aggregate,
  payload: { product: ProductSchema },
});
/** Also written by a stock adjustment. The events of orders report the stock that orders take. */
export const productUpdated = defineEvent('product.updated', {
  aggregate,
  payload: { product: ProductSchema, before: ProductSchema },
});
export const productDeleted = defineEvent('product.deleted', {
  aggregate,
  payload: { product: ProductSchema },
});

export const productEvents = [productCreated, productUpdated, productDeleted] as const;
