import type { Tx } from '../db/types.ts';
import { insertEvents } from '../events/event.repository.ts';
import type { EventType } from '../events/event.ts';
import type { Caller } from '../lib/caller.ts';
import type { Product } from './product.ts';

/** Tells what became of a product: as it is after the change, and what else belongs to the change. */
export function tellOfProduct(
  tx: Tx,
  type: EventType,
  product: Product,
  more: Record<string, unknown>,
  caller: Caller,
): Promise<void> {
  const event = {
    type,
    aggregateType: 'product',
    aggregateId: product.id,
    aggregateVersion: product.version,
    payload: { product, ...more },
    caller,
  } as const;
  return insertEvents(tx, [event]);
}
