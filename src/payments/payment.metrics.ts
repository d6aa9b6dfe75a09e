import { Counter, Gauge, type Registry } from 'prom-client';

export type PaymentMetrics = ReturnType<typeof createPaymentMetrics>;

export function createPaymentMetrics(registers: Registry[]) {
  const paymentsDrift = new Gauge({
    name: 'payments_drift_cents',
    help: 'Money of orders that differs from the ledger, or from what should be held, without being told; must be 0',
    registers,
  });
  // It would begin at 0, although the drift is unknown before the first audit.
  paymentsDrift.remove();
  return {
    paymentsDrift,
    paymentsAuditedAt: new Gauge({
      name: 'payments_audit_timestamp_seconds',
      help: 'When the payments were last audited, in seconds since 1970; 0 before the first time',
      registers,
    }),
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
