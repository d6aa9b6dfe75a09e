import type { Tx } from '../db/types.ts';
import { type NewEvent, newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { StockBook } from '../inventory/stock-book.ts';
import { lockStock } from '../inventory/stock.repository.ts';
import { writeStock } from '../inventory/write-stock.tx.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { centsToNumber } from '../lib/money.ts';
import { isRefundDue, moneyAfter, type OrderMoney } from './order-money.ts';
import { type OrderUpdate, updateOrders } from './order.repository.ts';
import {
  allowedTransitions,
  type OrderCommand,
  type OrderStatus,
  type TransitionEffect,
  transitionEffect,
} from './order-state.ts';
import { stepEvents } from './order.events.ts';
import type { LockedOrder, Order } from './order.ts';

/** The way of one order, which this transaction has locked, to another state. */
export interface Transition {
  order: LockedOrder;
  /** The steps to take, one after the other; what the last one leads to is what is stored. None: only the money changes. */
  steps: readonly OrderCommand[];
  /** What made it happen: `request`, the type of the payment event, or `expired`. */
  cause: string;
  /** The money of the order after it, where that is not what it was. */
  money?: OrderMoney;
  caller: Caller;
}

interface Step {
  from: OrderStatus;
  effect: TransitionEffect;
}

/** A transition that the table allows, with its steps. */
export interface PlannedTransition extends Transition {
  planned: readonly Step[];
}

type EventsBefore = (orders: readonly LockedOrder[]) => readonly NewEvent[];
const noEvents: EventsBefore = () => [];

/**
 * Moves orders to other states: their stock, their ledger and their events with them, each with one statement. An order
 * is listed once; its version rises once, however many steps it takes. Products are locked after their orders and in the
 * order of their ids, as everywhere.
 * @param eventsBefore of the orders as they are now, written before the events of their steps by the same statement
 * @throws AppError invalid_status_transition, with the states that are allowed; then nothing is written
 * @returns the orders as they are now, in the same order
 */
export async function applyTransitions(
  tx: Tx,
  transitions: readonly Transition[],
  eventsBefore: EventsBefore = noEvents,
): Promise<LockedOrder[]> {
  if (transitions.length === 0) return [];
  const planned = transitions.map(planTransition);
  const moving = planned.filter(({ planned: steps }) => steps.some(({ effect }) => effect.stock !== null));
  if (moving.length > 0) {
    const book = await lockStock(tx, productsOf(moving.map(({ order }) => order)));
    moveStock(book, moving);
    await writeStock(tx, book);
  }
  return writeTransitions(tx, planned, eventsBefore);
}

/** @throws AppError invalid_status_transition */
export function planTransition(transition: Transition): PlannedTransition {
  return { ...transition, planned: planSteps(transition) };
}

/** Writes the orders and their events. Their stock is in a book, which the same transaction writes. */
export async function writeTransitions(
  tx: Tx,
  transitions: readonly PlannedTransition[],
  eventsBefore: EventsBefore = noEvents,
): Promise<LockedOrder[]> {
  if (transitions.length === 0) return [];
  const updates = transitions.map(toUpdate);
  const steps = transitions.flatMap((transition, index) =>
    transition.planned.map(({ from, effect: { to } }, position) => {
      const { id, refundDue } = updates[index] as OrderUpdate;
      const { cause, caller } = transition;
      return { orderId: id, position, from, to, cause, refundDue, caller };
    }),
  );
  const written = await updateOrders(tx, updates, steps);

  const orders = transitions.map(({ order }, index): LockedOrder => {
    const { id, status, money, refundDue } = updates[index] as OrderUpdate;
    const { refund_due: _, ...before } = order;
    const sums = {
      amount_paid: centsToNumber(money.paidCents),
      amount_refunded: centsToNumber(money.refundedCents),
    };
    const due = refundDue ? { refund_due: true as const } : {};
    return { ...before, ...sums, ...written.get(id), status, money, ...due };
  });
  const events = transitions.flatMap((transition, index) => {
    const after = orders[index] as LockedOrder;
    return transition.planned.map((step) => toEvent(transition, step, after));
  });
  await appendEvents(tx, [...eventsBefore(orders), ...events]);
  return orders;
}

function toUpdate({ order, money = order.money, cause, planned }: PlannedTransition): OrderUpdate {
  const status = planned.at(-1)?.effect.to ?? order.status;
  const after = moneyAfter(order, status, money);
  return {
    id: order.id,
    status,
    money: after,
    refundDue: isRefundDue(status, after),
    cancelCause: planned.length > 0 && status === 'CANCELED' ? cause : null,
  };
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

/** Moves the stock of the orders in a book that has all of their products. */
export function moveStock(book: StockBook, transitions: readonly PlannedTransition[]): void {
  for (const { order, caller, planned } of transitions) {
    for (const { effect } of planned) {
      const cause = { orderId: order.id, reason: effect.reason, caller };
      for (const { product_id, quantity } of order.items) {
        if (effect.stock === 'released') book.release(product_id, quantity, cause);
        else if (effect.stock === 'shipped') book.ship(product_id, quantity, cause);
      }
    }
  }
}

/** The products of orders, each once. */
export function productsOf(orders: readonly Order[]): number[] {
  return [...new Set(orders.flatMap(({ items }) => items.map(({ product_id }) => product_id)))];
}

function toEvent(
  { cause, caller }: Transition,
  { from, effect: { to, event } }: Step,
  after: LockedOrder,
): NewEvent {
  const order = asSeen(after);
  const transition = { from, to, cause, refund_due: order.refund_due === true };
  return newEvent(stepEvents[event], after, { order: { ...order, status: to }, transition }, caller);
}

/** A locked order as callers see it. */
export function asSeen(locked: LockedOrder): Order {
  const { money: _, ...order } = locked;
  return order;
}

export function invalidTransition(from: OrderStatus, command: OrderCommand): AppError {
  return new AppError('invalid_status_transition', `Invalid status transition from ${from} to ${command}`, {
    fields: { allowed: allowedTransitions(from) },
  });
}
