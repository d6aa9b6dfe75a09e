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
  type OrderCommand,
  type OrderStatus,
  type TransitionEffect,
  transitionEffect,
} from './order-state.ts';
import type { Order } from './order.ts';

/** The way of one order, which this transaction has locked, to another state. */
export interface Transition {
  order: Order;
  /** The steps to take, one after the other; what the last one leads to is what is stored. */
  steps: readonly OrderCommand[];
  /** What made it happen: `request`, the type of the payment event, or `expired`. */
  cause: string;
  /** Overrides the table where the money is known to be back already. */
  refundDue?: boolean;
  caller: Caller;
}

interface Step {
  from: OrderStatus;
  effect: TransitionEffect;
}

interface Planned {
  transition: Transition;
  steps: Step[];
}

/** What one step does to the stock of its order. */
interface Move {
  transition: Transition;
  kind: 'released' | 'shipped';
  reason: string | null;
}

/**
 * Moves orders to other states: their stock, their ledger and their events with them, each with one statement. An order
 * is named once; its version rises once, however many steps it takes. Products are locked after their orders and in the
 * order of their ids, as everywhere.
 * @param countersWrittenLater products whose counters this transaction goes on to write itself, on top of these changes
 * @throws AppError invalid_status_transition, with the states that are allowed; then nothing is written
 * @returns the orders as they are now, in the same order
 */
export async function applyTransitions(
  tx: Tx,
  transitions: readonly Transition[],
  countersWrittenLater: ReadonlySet<number> = new Set(),
): Promise<Order[]> {
  if (transitions.length === 0) return [];
  const planned = transitions.map((transition) => ({ transition, steps: planSteps(transition) }));
  await moveStock(tx, planned, countersWrittenLater);

  const updates = planned.map(({ transition: { order, refundDue }, steps }) => ({
    id: order.id,
    status: steps.at(-1)?.effect.to ?? order.status,
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
  return steps.map((command) => {
    const effect = transitionEffect(from, command);
    if (effect === undefined) throw invalidTransition(from, command);
    const step = { from, effect };
    from = effect.to;
    return step;
  });
}

async function moveStock(
  tx: Tx,
  planned: readonly Planned[],
  countersWrittenLater: ReadonlySet<number>,
): Promise<void> {
  const moves = planned.flatMap(({ transition, steps }) =>
    steps.flatMap(({ effect: { stock: kind, reason } }): Move[] =>
      kind === null ? [] : [{ transition, kind, reason }],
    ),
  );
  if (moves.length === 0) return;
  const ids = moves.flatMap(({ transition }) => transition.order.items.map((item) => item.product_id));
  const products = await lockProducts(tx, [...new Set(ids)]);
  const changes = moves.flatMap((move) => changesOf(move, products));
  await writeStockChanges(tx, changes, countersWrittenLater);
}

/** Applies the changes to the locked counters in memory as well, for the next order of the same product. */
function changesOf(
  { transition: { order, caller }, kind, reason }: Move,
  products: ReadonlyMap<number, LockedProduct>,
): StockChange[] {
  return order.items.map((item) => {
    const product = products.get(item.product_id);
    // A product that an order names is never deleted (product.service.ts).
    if (product === undefined) throw new Error(`product ${item.product_id} of order ${order.id} is missing`);
    const change = changeForOrder(product, kind, item.quantity, order.id, caller);
    product.onHand = change.onHandAfter;
    product.reserved = change.reservedAfter;
    return { ...change, reason };
  });
}

function toEvent(
  { cause, caller }: Transition,
  { from, effect: { to, event } }: Step,
  after: Order,
  refundDue: boolean,
): NewEvent {
  return {
    type: event,
    aggregateType: 'order',
    aggregateId: after.id,
    aggregateVersion: after.version,
    payload: { order: { ...after, status: to }, transition: { from, to, cause, refund_due: refundDue } },
    caller,
  };
}

export function invalidTransition(from: OrderStatus, command: OrderCommand): AppError {
  return new AppError('invalid_status_transition', `Invalid status transition from ${from} to ${command}`, {
    fields: { allowed: allowedTransitions(from) },
  });
}
