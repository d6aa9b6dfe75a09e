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
