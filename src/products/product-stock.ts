import type { Static } from '@sinclair/typebox';

import type { AdjustedStockSchema, StockExplanationSchema } from './product-stock.schemas.ts';

/** The movement of an adjustment, and the counters as it has left them. */
export type AdjustedStock = Static<typeof AdjustedStockSchema>;

/** How the counters of a product come about, from its ledger alone. */
export type StockExplanation = Static<typeof StockExplanationSchema>;
