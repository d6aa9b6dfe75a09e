import { Type } from '@sinclair/typebox';

import { Id } from '../http/schemas.ts';

/** The stock of a product as it is after the change that crossed a mark. */
export const StockLevel = Type.Object({
  product_id: Id,
  sku: Type.String(),
  stock: Type.Integer({ description: 'What can be sold' }),
  reserved: Type.Integer(),
  on_hand: Type.Integer(),
  low_stock_threshold: Type.Union([Type.Integer(), Type.Null()]),
});
