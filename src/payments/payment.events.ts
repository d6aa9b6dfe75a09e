import { defineEvent } from '../events/define-event.ts';
import { OrderSchema } from '../orders/order.schemas.ts';
import { PaymentExceptionSchema } from './payment-exception.schemas.ts';
import { PaymentSchema } from './payment.schemas.ts';

const aggregate = 'payment_exception';
const payload = { exception: PaymentExceptionSchema };

/** A row of the ledger. It is of the order, whose sums it changes. */
export const paymentRecorded = defineEvent('payment.recorded', {
  aggregate: 'order',
  payload: { payment: PaymentSchema },
});
/** A person has accepted the difference of an order's sums, so that no refund is due any more. */
export const differenceAccepted = defineEvent('payment.difference_accepted', {
  aggregate: 'order',
  payload: { order: OrderSchema },
});
export const reviewRequired = defineEvent('payment.review_required', { aggregate, payload });
export const reviewResolved = defineEvent('payment.review_resolved', { aggregate, payload });

export const paymentEvents = [paymentRecorded, differenceAccepted, reviewRequired, reviewResolved] as const;
