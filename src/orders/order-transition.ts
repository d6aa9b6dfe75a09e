import type { Tx } from '../db/types.ts';
import { insertEvents } from '../events/event.repository.ts';
import type { NewEvent } from '../events/event.ts';
import { changeForOrder, type StockChange } from '../inventory/stock-change.ts';
import { type LockedProduct, lockProducts, writeStockChanges } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { updateOrderStatuses } from './order.repository.ts';
import {
  allowedTransitions,
  type OrderStatus,
  type TransitionEffect,
  transitionEffect,
} from './order-state.ts';
import type { Order } from './order.ts';

/** The way of one order, which this transaction has locked, to another state. */
export interface Transition {
  order: Order;
  /** The states to go through, one after the other; the last one is what is stored. */
  steps: readonly OrderStatus[];
  /** What made it happen: `request`, or the type of the payment event. */
  cause: string;
  /** Overrides the table where the money is known to be back already. */
  refundDue?: boolean;
  caller: Caller;
}

interface Step {
  from: OrderStatus;
  to: OrderStatus;
  effect: TransitionEffect;
}

/**
 * Moves orders to other states: their stock, their ledger and their events with them, each with one statement. An order
 * is named once; its version rises once, however many steps it takes. Products are locked after their orders and in the
 * order of their ids, as everywhere.
 * @throws AppError invalid_status_transition, with the states that are allowed; then nothing is written
 * @returns the orders as they are now, in the same order
 */
export async function applyTransitions(tx: Tx, transitions: readonly Transition[]): Promise<Order[]> {
  const planned = transitions.map((transition) => ({ transition, steps: planSteps(transition) }));
  await moveStock(tx, planned);

  const updates = planned.map(({ transition: { order, refundDue }, steps }) => ({
    id: order.id,
    status: steps.at(-1)?.to ?? order.status,
    refundDue: refundDue ?? steps.at(-1)?.effect.refundDue ?? false,
  }));
  const written = await updateOrderStatuses(tx, updates);

  const events: NewEvent[] = [];
  const results = planned.map(({ transition, steps }, index) => {
    const { id, status, refundDue } = updates[index] as (typeof updates)[number];
    const { refund_due: _, ...before } = transition.order;
    const after: Order = {
      ...before,
      ...written.get(id),
      status,
      ...(refundDue ? { refund_due: true } : {}),
    };
    events.push(...steps.map((step) => toEvent(transition, step, after, refundDue)));
    return after;
  });
  await insertEvents(tx, events);
  return results;
}

function planSteps({ order, steps }: Transition): Step[] {
  let from = order.status;
  return steps.map((to) => {
    const effect = transitionEffect(from, to);
    if (effect === undefined) throw invalidTransition(from, to);
    const step = { from, to, effect };
    from = to;
    return step;
  });
}

async function moveStock(
  tx: Tx,
  planned: readonly { transition: Transition; steps: Step[] }[],
): Promise<void> {
  const moves = planned.flatMap(({ transition, steps }) =>
    steps.flatMap(({ effect }) => (effect.stock === null ? [] : [{ transition, kind: effect.stock }])),
  );
  if (moves.length === 0) return;
  const ids = moves.flatMap(({ transition }) => transition.order.items.map((item) => item.product_id));
  const products = await lockProducts(tx, [...new Set(ids)]);
  const changes = moves.flatMap(({ transition, kind }) => changesOf(transition, kind, products));
  await writeStockChanges(tx, changes);
}

/** Applies the changes to the locked counters in memory as well, for the next order of the same product. */
function changesOf(
  { order, caller }: Transition,
  kind: 'released' | 'shipped',
  products: ReadonlyMap<number, LockedProduct>,
): StockChange[] {
  return order.items.map((item) => {
    const product = products.get(item.product_id);
    // A product that an order names is never deleted (product.service.ts).
    if (product === undefined) throw new Error(`product ${item.product_id} of order ${order.id} is missing`);
    const change = changeForOrder(product, kind, item.quantity, order.id, caller);
    product.onHand = change.onHandAfter;
    product.reserved = change.reservedAfter;
    return change;
  });
}

function toEvent(
  { cause, caller }: Transition,
  { from, to, effect }: Step,
  after: Order,
  refundDue: boolean,
): NewEvent {
  return {
    type: effect.event,
    aggregateType: 'order',
    aggregateId: after.id,
    aggregateVersion: after.version,
    payload: { order: { ...after, status: to }, transition: { from, to, cause, refund_due: refundDue } },
    caller,
  };
}

function invalidTransition(from: OrderStatus, to: OrderStatus): AppError {
  return new AppError('invalid_status_transition', `Invalid status transition from ${from} to ${to}`, {
    fields: { allowed: allowedTransitions(from) },
  });
}
