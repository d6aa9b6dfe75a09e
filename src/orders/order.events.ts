import { Type } from '@sinclair/typebox';

import { defineEvent } from '../events/define-event.ts';
import { OrderTransitionSchema } from './order-history.schemas.ts';
import { OrderSchema } from './order.schemas.ts';
import type { TransitionEffect } from './order-state.ts';

const aggregate = 'order';

/** A step of an order, as far as the event does not say it already. */
const Step = Type.Pick(OrderTransitionSchema, ['from', 'to', 'cause', 'refund_due']);

/**
 * The statement that places orders inserts these events without a payload (`place-orders.repository.ts`): the rows of
 * the order say what it was, and writing that twice costs time where there is least.
 */
export const orderCreated = defineEvent('order.created', { aggregate, payload: { order: OrderSchema } });

const payload = { order: OrderSchema, transition: Step };
export const orderPaid = defineEvent('order.paid', { aggregate, payload });
export const orderShipped = defineEvent('order.shipped', { aggregate, payload });
export const orderCanceled = defineEvent('order.canceled', { aggregate, payload });
export const orderExpired = defineEvent('order.expired', { aggregate, payload });

/** The events of the table of transitions, by their types. */
export const stepEvents = {
  'order.paid': orderPaid,
  'order.shipped': orderShipped,
  'order.canceled': orderCanceled,
  'order.expired': orderExpired,
} satisfies Record<TransitionEffect['event'], unknown>;

export const orderEvents = [orderCreated, orderPaid, orderShipped, orderCanceled, orderExpired] as const;
