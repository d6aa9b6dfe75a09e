import type { Caller } from '../lib/caller.ts';

/** The types of events, each written by exactly the commands that its line in the table of docs/architecture.md names. */
export type EventType =
  | 'product.created'
  | 'product.updated'
  | 'product.deleted'
  | 'order.created'
  | 'order.paid'
  | 'order.shipped'
  | 'order.canceled'
  | 'order.expired'
  | 'payment.review_required'
  | 'payment.review_resolved';

export type AggregateType = 'product' | 'order' | 'payment_exception';

/** A change, told once: written by the transaction that makes it, or not at all. */
export interface NewEvent {
  type: EventType;
  aggregateType: AggregateType;
  aggregateId: number;
  /** The aggregate's version after the change. */
  aggregateVersion: number;
  payload: Readonly<Record<string, unknown>>;
  caller: Caller;
}
