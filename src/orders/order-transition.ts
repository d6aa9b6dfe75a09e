import type { Tx } from '../db/types.ts';
import { insertEvents } from '../events/event.repository.ts';
import { changeForOrder } from '../inventory/stock-change.ts';
import { lockProducts, writeStockChanges } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { findOrder, updateOrderStatus } from './order.repository.ts';
import { allowedTransitions, type OrderStatus, transitionEffect } from './order-state.ts';
import type { Order } from './order.ts';

export interface TransitionRequest {
  to: OrderStatus;
  /** What made it happen: `request`, or the type of the payment event. */
  cause: string;
  /** Overrides the table where the money is known to be back already. */
  refundDue?: boolean;
  /** False for a second step in one transaction: a transaction raises a version once. */
  raiseVersion?: boolean;
}

/**
 * Moves an order, which this transaction has locked, to another state: its stock, its ledger and its event with it.
 * Products are locked after their order and in the order of their ids, as everywhere.
 * @throws AppError invalid_status_transition, with the states that are allowed
 */
export async function applyTransition(
  tx: Tx,
  order: Order,
  { to, cause, ...request }: TransitionRequest,
  caller: Caller,
): Promise<Order> {
  const effect = transitionEffect(order.status, to);
  if (effect === undefined) throw invalidTransition(order.status, to);
  if (effect.stock !== null) await moveStock(tx, order, effect.stock, caller);

  const refundDue = request.refundDue ?? effect.refundDue;
  await updateOrderStatus(tx, order.id, {
    status: to,
    refundDue,
    raiseVersion: request.raiseVersion ?? true,
  });
  const after = await findOrder(tx, order.id);
  if (after === undefined) throw new Error(`order ${order.id} vanished under its lock`);
  const transition = { from: order.status, to, cause, refund_due: refundDue };
  await insertEvents(tx, [
    {
      type: effect.event,
      aggregateType: 'order',
      aggregateId: order.id,
      aggregateVersion: after.version,
      payload: { order: after, transition },
      caller,
    },
  ]);
  return after;
}

async function moveStock(tx: Tx, order: Order, kind: 'released' | 'shipped', caller: Caller): Promise<void> {
  const products = await lockProducts(
    tx,
    order.items.map((item) => item.product_id),
  );
  const changes = order.items.map((item) => {
    const product = products.get(item.product_id);
    // order_items_product_id_fkey keeps the products of orders.
    if (product === undefined) throw new Error(`product ${item.product_id} of order ${order.id} is missing`);
    return changeForOrder(product, kind, item.quantity, order.id, caller);
  });
  await writeStockChanges(tx, changes);
}

function invalidTransition(from: OrderStatus, to: OrderStatus): AppError {
  return new AppError('invalid_status_transition', `Invalid status transition from ${from} to ${to}`, {
    fields: { allowed: allowedTransitions(from) },
  });
}
