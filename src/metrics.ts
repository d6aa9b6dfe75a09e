import { collectDefaultMetrics, Registry } from 'prom-client';

import { createEventMetrics } from './events/event.metrics.ts';
import { createInboxMetrics } from './inbound/inbox.metrics.ts';
import { createAuditMetrics } from './inventory/audit.metrics.ts';
import { createTrafficMetrics } from './lib/metrics.ts';
import { createOutboundMetrics } from './outbound/outbound.metrics.ts';
import { createOrderMetrics } from './orders/order.metrics.ts';
import { createPaymentMetrics } from './payments/payment.metrics.ts';

/** The metrics of `/metrics`. Each app has a registry of its own, so that tests do not share counters. */
export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    ...createTrafficMetrics(registers),
    ...createOrderMetrics(registers),
    ...createAuditMetrics(registers),
    ...createPaymentMetrics(registers),
    ...createInboxMetrics(registers),
    ...createOutboundMetrics(registers),
    ...createEventMetrics(registers),
  };
}
