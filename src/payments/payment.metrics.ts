import { Counter, type Registry } from 'prom-client';

export type PaymentMetrics = ReturnType<typeof createPaymentMetrics>;

export function createPaymentMetrics(registers: Registry[]) {
  return {
    paymentEvents: new Counter({
      name: 'payment_events_total',
      help: 'Deliveries of payment events, by outcome; forged, stale, unsigned and failed ones included',
      labelNames: ['outcome'] as const,
      registers,
    }),
    paymentExceptions: new Counter({
      name: 'payment_exceptions_total',
      help: 'Payments that need a person, by reason',
      labelNames: ['reason'] as const,
      registers,
    }),
  };
}
