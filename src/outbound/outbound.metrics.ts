import { Counter, type Registry } from 'prom-client';

import { Histogram } from '../lib/histogram.ts';

export type OutboundMetrics = ReturnType<typeof createOutboundMetrics>;

export function createOutboundMetrics(registers: Registry[]) {
  return {
    webhookAttempts: new Counter({
      name: 'webhook_attempts_total',
      help: 'Tries to deliver an event to a webhook endpoint, by outcome: delivered, retry, dead, gone, or lost (its lease had ended)',
      labelNames: ['outcome'] as const,
      registers,
    }),
    webhookClaims: new Histogram({
      name: 'webhook_relay_batch_size',
      help: 'Deliveries that a relay claimed at once',
      buckets: [1, 2, 5, 10, 25, 50, 100, 250],
      registers,
    }),
    webhookAttemptDuration: new Histogram({
      name: 'webhook_attempt_duration_seconds',
      help: 'Time from the start of a try until its answer or its failure',
      // Up to the deadline of a try.
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
      registers,
    }),
  };
}
