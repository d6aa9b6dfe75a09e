import { purgeKeys } from './idempotency/idempotency.service.ts';
import { type PollerOptions, startPoller } from './lib/poller.ts';
import { sweepOverdueOrders } from './orders/expiry/expiry.service.ts';
import type { Services } from './services.ts';

/** Old rows are deleted in batches, until none is left. */
const PURGE_INTERVAL_MS = 10 * 60 * 1000;
/** What the lists show is behind by this much; an order that needs the stock of an overdue one does not wait for it. */
const SWEEP_INTERVAL_MS = 1000;
/** A run may take 30 s, and keeps PostgreSQL from cleaning up behind busy rows for as long: a tenth of the time at most. */
const AUDIT_INTERVAL_MS = 5 * 60 * 1000;
/** Until the first audit, the drift is not known, so a run that failed is made up for soon. */
const AUDIT_RETRY_MS = 10_000;
/** How soon refused deliveries that a database in trouble could not take are tried again. */
const INBOX_INTERVAL_MS = 5000;

interface Job extends Omit<PollerOptions, 'onError'> {
  /** As the log and the metrics have it. */
  name: string;
  run: (isStopping: () => boolean) => Promise<unknown>;
}

function jobsOf({ db, metrics, audits, inbox }: Services): Job[] {
  return [
    { name: 'key purge', everyMs: PURGE_INTERVAL_MS, run: (isStopping) => purgeKeys(db, isStopping) },
    { name: 'inbox purge', everyMs: PURGE_INTERVAL_MS, run: (isStopping) => inbox.purge(isStopping) },
    { name: 'inbox flush', everyMs: INBOX_INTERVAL_MS, run: () => inbox.flush() },
    { name: 'expiry sweep', everyMs: SWEEP_INTERVAL_MS, run: () => sweepOverdueOrders(db, metrics) },
    {
      name: 'inventory audit',
      everyMs: AUDIT_INTERVAL_MS,
      atOnce: true,
      retryMs: AUDIT_RETRY_MS,
      run: () => audits.refresh(),
    },
  ];
}

/**
 * Starts the background loops. Call it once the app listens: what keeps the processor busy before would let the first
 * runs fail.
 * @returns a function that ends them and waits for runs under way
 */
export function startBackground(
  services: Services,
  onError: (error: unknown, job: string) => void,
): () => Promise<void> {
  const loops = jobsOf(services).map(({ name, run, ...options }) =>
    startPoller(run, {
      ...options,
      onError: (error) => {
        services.metrics.jobFailures.inc({ name });
        onError(error, name);
      },
    }),
  );
  return async () => {
    await services.audits.stop();
    await Promise.all(loops.map((loop) => loop.stop()));
  };
}
