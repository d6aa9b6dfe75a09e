import { type OrderStatus, orderStatuses } from '../orders/order-state.ts';

/**
 * What a payment event does to an order, as one table: event × state → decision. Whatever the order of arrival, an
 * event has one effect at most, a paid order never goes back, and money that buys nothing becomes a review.
 */
export const paymentEventTypes = ['payment.succeeded', 'payment.failed', 'payment.refunded'] as const;
export type PaymentEventType = (typeof paymentEventTypes)[number];

export const reviewReasons = {
  amount_mismatch: 'The amount is not the total of the order',
  already_paid: 'The order is paid already',
  order_canceled: 'The order is canceled',
  order_expired: 'The order was not paid in time and has expired',
  partial_refund: 'The refund is not of the whole total',
  refund_before_payment: 'The order is not paid yet; the refund is kept and takes effect with the payment',
  order_shipped: 'The order is shipped already',
} as const;
export type ReviewReason = keyof typeof reviewReasons;

export type PaymentDecision =
  | { outcome: 'processed'; to: OrderStatus }
  | { outcome: 'ignored'; reason: string }
  | { outcome: 'review'; reason: ReviewReason };

/** An order that has expired is CANCELED like others; whose money it was tells them apart. */
export const payableStates = [...orderStatuses, 'EXPIRED'] as const;
export type PayableState = (typeof payableStates)[number];

type Rule = OrderStatus | { ignored: string } | ReviewReason;

const rules: Record<PaymentEventType, Record<PayableState, Rule>> = {
  'payment.succeeded': {
    PENDING: 'PAID',
    PAID: 'already_paid',
    SHIPPED: 'already_paid',
    CANCELED: 'order_canceled',
    EXPIRED: 'order_expired',
  },
  'payment.failed': {
    PENDING: 'CANCELED',
    PAID: { ignored: 'The order is paid already' },
    SHIPPED: { ignored: 'The order is shipped already' },
    CANCELED: { ignored: 'The order is canceled already' },
    EXPIRED: { ignored: 'The order has expired already' },
  },
  'payment.refunded': {
    PENDING: 'refund_before_payment',
    PAID: 'CANCELED',
    SHIPPED: 'order_shipped',
    CANCELED: 'order_canceled',
    EXPIRED: 'order_expired',
  },
};

/** The amount in question, which one that names none covers in full. */
export interface PaymentAmounts {
  amountCents: number | undefined;
  totalCents: number;
}

export function decidePayment(
  type: PaymentEventType,
  state: PayableState,
  { amountCents, totalCents }: PaymentAmounts,
): PaymentDecision {
  const rule = rules[type][state];
  const whole = amountCents === undefined || amountCents === totalCents;
  if (typeof rule === 'object') return { outcome: 'ignored', reason: rule.ignored };
  // A part is never applied by itself, so it is not kept for the payment to come.
  if (!whole && rule === 'refund_before_payment') return { outcome: 'review', reason: 'partial_refund' };
  if (rule in reviewReasons) return { outcome: 'review', reason: rule as ReviewReason };
  // A failed payment moved no money, so its amount does not matter.
  if (!whole && type === 'payment.succeeded') return { outcome: 'review', reason: 'amount_mismatch' };
  if (!whole && type === 'payment.refunded') return { outcome: 'review', reason: 'partial_refund' };
  return { outcome: 'processed', to: rule as OrderStatus };
}

export function isPaymentEventType(type: string): type is PaymentEventType {
  return (paymentEventTypes as readonly string[]).includes(type);
}
