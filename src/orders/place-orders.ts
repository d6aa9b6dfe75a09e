import type { Tx } from '../db/types.ts';
import { insertEvents } from '../events/event.repository.ts';
import type { NewEvent } from '../events/event.ts';
import { changeForOrder, type StockChange } from '../inventory/stock-change.ts';
import { lockProducts, writeStockChanges } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { centsToNumber } from '../lib/money.ts';
import { type AcceptedOrder, decideOrder, type OrderLine } from './decide-order.ts';
import { drawOrderIds, insertOrders } from './order.repository.ts';
import { type NewOrder, type Order, type OrderPreview, soleItem } from './order.ts';

/*
 * Placing orders, any number of them in one transaction.
 *
 * - All products of all orders are locked first, in one ordered statement; every check is made on the locked rows, so
 *   two buyers of the last piece are decided one after the other, in whatever process they are.
 * - Orders are decided in the order of arrival, each on what the ones before it have left: all of its items or none.
 * - A refused order leaves no trace and harms no other.
 * - Orders, items, stock, ledger and events are written each with one statement, and commit together.
 */

export interface Placement {
  order: NewOrder;
  caller: Caller;
}

/** @returns one result for each placement, in their order: the order, or why it was refused */
export async function placeOrders(tx: Tx, placements: readonly Placement[]): Promise<(Order | AppError)[]> {
  const productIds = placements.flatMap(({ order }) => order.items.map(({ productId }) => productId));
  const products = await lockProducts(tx, [...new Set(productIds)]);
  // An id for each, whether it is accepted or not: gaps are harmless, and a second pass over the batch is not free.
  const { ids, now } = await drawOrderIds(tx, placements.length);

  const orders: Order[] = [];
  const changes: StockChange[] = [];
  const events: NewEvent[] = [];
  const results = placements.map(({ order, caller }, index) => {
    const decision = decideOrder(order, products);
    if (decision instanceof AppError) return decision;
    // drawOrderIds returns as many ids as were asked for.
    const placed: Order = { id: ids[index] as number, ...previewOrder(order, decision, now) };
    orders.push(placed);
    changes.push(...reserve(decision.lines, placed.id, caller));
    events.push(createdEvent(placed, caller));
    return placed;
  });
  if (orders.length > 0) {
    await insertOrders(tx, orders);
    await writeStockChanges(tx, changes);
    await insertEvents(tx, events);
  }
  return results;
}

/** Takes the stock in memory, so that the next order of the batch is decided on what is left. */
function reserve(lines: readonly OrderLine[], orderId: number, caller: Caller): StockChange[] {
  return lines.map(({ product, quantity }) => {
    const change = changeForOrder(product, 'reserved', quantity, orderId, caller);
    product.reserved = change.reservedAfter;
    return change;
  });
}

/** The order that a decision makes at a time, as callers will see it; nothing is written. */
export function previewOrder(
  order: NewOrder,
  { lines, totalCents }: AcceptedOrder,
  now: string,
): OrderPreview {
  const items = lines.map(({ product, quantity }) => ({
    product_id: product.id,
    sku: product.sku,
    quantity,
    unit_price: centsToNumber(product.priceCents),
  }));
  return {
    status: 'PENDING',
    items,
    total: centsToNumber(totalCents),
    customer_email: order.customerEmail,
    version: 1,
    expires_at: null,
    created_at: now,
    updated_at: now,
    ...soleItem(items),
  };
}

function createdEvent(order: Order, caller: Caller): NewEvent {
  return {
    type: 'order.created',
    aggregateType: 'order',
    aggregateId: order.id,
    aggregateVersion: order.version,
    payload: { order, transition: { from: null, to: order.status, cause: 'placed' } },
    caller,
  };
}
