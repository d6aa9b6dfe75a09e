import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

import { Histogram } from './histogram.ts';

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** The metrics of `/metrics`. Each app has a registry of its own, so that tests do not share counters. */
export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    ...trafficMetrics(registers),
    ...orderMetrics(registers),
    ...inventoryMetrics(registers),
    ...paymentMetrics(registers),
  };
}

function trafficMetrics(registers: Registry[]) {
  return {
    /** By method, route and status (`observeRequests`). */
    requestDuration: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the arrival of a request until its answer is sent',
      // From a single read (about 1 ms) to the request deadline (8 s).
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 8],
      registers,
    }),
    requestsAborted: new Counter({
      name: 'http_requests_aborted_total',
      help: 'Requests whose client had gone before the answer was there, by route',
      labelNames: ['route'] as const,
      registers,
    }),
    logLinesLost: new Counter({
      name: 'log_lines_lost_total',
      help: 'Log lines that stdout could not take: it was full, stood still or was gone',
      registers,
    }),
    jobFailures: new Counter({
      name: 'background_job_failures_total',
      help: 'Runs of background jobs that failed, by name; each runs again at its next turn',
      labelNames: ['name'] as const,
      registers,
    }),
    unreadableRequests: new Counter({
      name: 'http_unreadable_requests_total',
      help: 'Input that was not a readable HTTP request, by the status of the answer',
      labelNames: ['status'] as const,
      registers,
    }),
    connectionsDropped: new Counter({
      name: 'http_connections_dropped_total',
      help: 'Connections that were closed because there were too many, or because one sent too many requests ahead',
      registers,
    }),
    batchSize: new Histogram({
      name: 'batch_size',
      help: 'Calls that shared one trip to the database',
      buckets: [1, 2, 5, 10, 25, 50, 100],
      registers,
    }),
    batchWait: new Histogram({
      name: 'batch_wait_seconds',
      help: 'How long the first call of a batch waited for its turn',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
      registers,
    }),
  };
}

function orderMetrics(registers: Registry[]) {
  return {
    ordersPlaced: new Counter({ name: 'orders_placed_total', help: 'Orders placed', registers }),
    ordersRefused: new Counter({
      name: 'orders_refused_total',
      help: 'Orders refused, by the code of the refusal',
      labelNames: ['code'] as const,
      registers,
    }),
    orderTransitions: new Counter({
      name: 'order_transitions_total',
      help: 'Orders moved to another state, by hand or by a payment event',
      labelNames: ['to'] as const,
      registers,
    }),
    ordersExpired: new Counter({
      name: 'orders_expired_total',
      help: 'Orders that were not paid in time, by cause: the sweep, an order that needs their stock, a late payment or a request',
      labelNames: ['by'] as const,
      registers,
    }),
    ordersOverdue: new Gauge({
      name: 'orders_overdue_seconds',
      help: 'For how long the longest overdue order had waited when the sweep last looked',
      registers,
    }),
  };
}

function inventoryMetrics(registers: Registry[]) {
  const inventoryDrift = new Gauge({
    name: 'inventory_drift_units',
    help: 'Units by which stored counters differ from the ledger and the open orders, at the last audit; must be 0',
    registers,
  });
  // It would begin at 0, although the drift is unknown before the first audit.
  inventoryDrift.remove();
  return {
    inventoryDrift,
    inventoryAuditedAt: new Gauge({
      name: 'inventory_audit_timestamp_seconds',
      help: 'When the inventory was last audited, in seconds since 1970; 0 before the first time',
      registers,
    }),
  };
}

function paymentMetrics(registers: Registry[]) {
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
    inboxUnrecorded: new Counter({
      name: 'webhook_inbox_unrecorded_total',
      help: 'Deliveries without effect that were not kept in the inbox, because there were too many',
      labelNames: ['verdict'] as const,
      registers,
    }),
  };
}

/** Records the size and the wait of each batch of one kind. */
export function observeBatches(metrics: Metrics, batch: string): (size: number, waitedMs: number) => void {
  const size = metrics.batchSize.addSeries({ batch });
  const wait = metrics.batchWait.addSeries({ batch });
  return (calls, waitedMs) => {
    size.observe(calls);
    wait.observe(waitedMs / 1000);
  };
}
