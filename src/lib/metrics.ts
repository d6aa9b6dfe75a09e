import { Counter, Registry } from 'prom-client';

import { Histogram } from './histogram.ts';

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

export type TrafficMetrics = ReturnType<typeof createTrafficMetrics>;

/** Metrics of the process and of every request; features bring their own. */
export function createTrafficMetrics(registers: Registry[]) {
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

/** Records the size and the wait of each batch of one kind. */
export function observeBatches(
  metrics: TrafficMetrics,
  batch: string,
): (size: number, waitedMs: number) => void {
  const size = metrics.batchSize.addSeries({ batch });
  const wait = metrics.batchWait.addSeries({ batch });
  return (calls, waitedMs) => {
    size.observe(calls);
    wait.observe(waitedMs / 1000);
  };
}
