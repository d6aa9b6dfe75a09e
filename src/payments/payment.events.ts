import { defineEvent } from '../events/define-event.ts';
import { PaymentExceptionSchema } from './payment-exception.schemas.ts';

const aggregate = 'payment_exception';
const payload = { exception: PaymentExceptionSchema };

export const reviewRequired = defineEvent('payment.review_required', { aggregate, payload });
export const reviewResolved = defineEvent('payment.review_resolved', { aggregate, payload });

export const paymentEvents = [reviewRequired, reviewResolved] as const;
