import { purgeKeys } from './idempotency/idempotency.service.ts';
import { type PollerOptions, startPoller } from './lib/poller.ts';
import { sweepOverdueOrders } from './orders/expiry/expiry.service.ts';
import type { Config } from './config.ts';
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

/** How long an event waits for its first try at most. */
const RELAY_INTERVAL_MS = 500;
/** Jobs are rare, and a person waits for the first of their deliveries. */
const RESEND_INTERVAL_MS = 2000;

type OnError = (error: unknown, job: string) => void;

interface Job extends Omit<PollerOptions, 'onError'> {
  /** As the log and the metrics have it. */
  name: string;
  run: (isStopping: () => boolean) => Promise<unknown>;
}

function jobsOf(services: Services): Job[] {
  const { db, metrics, audits, paymentAudits, inbox, deliveries, resends, retention } = services;
  return [
    { name: 'key purge', everyMs: PURGE_INTERVAL_MS, run: (isStopping) => purgeKeys(db, isStopping) },
    { name: 'inbox purge', everyMs: PURGE_INTERVAL_MS, run: (isStopping) => inbox.purge(isStopping) },
    { name: 'inbox flush', everyMs: INBOX_INTERVAL_MS, run: () => inbox.flush() },
    { name: 'delivery purge', everyMs: PURGE_INTERVAL_MS, run: (isStopping) => deliveries.purge(isStopping) },
    { name: 'event purge', everyMs: PURGE_INTERVAL_MS, run: (isStopping) => retention.purge(isStopping) },
    {
      name: 'dead letter resend',
      everyMs: RESEND_INTERVAL_MS,
      run: (isStopping) => resends.workOnce(isStopping),
    },
    { name: 'expiry sweep', everyMs: SWEEP_INTERVAL_MS, run: () => sweepOverdueOrders(db, metrics) },
    {
      name: 'inventory audit',
      everyMs: AUDIT_INTERVAL_MS,
      atOnce: true,
      retryMs: AUDIT_RETRY_MS,
      run: () => audits.refresh(),
    },
    {
      name: 'payments audit',
      everyMs: AUDIT_INTERVAL_MS,
      atOnce: true,
      retryMs: AUDIT_RETRY_MS,
      run: () => paymentAudits.refresh(),
    },
  ];
}

/** A send that fails without an outcome, such as one whose outcome the database could not take, is the job's failure, too. */
function relayJob({ relay, metrics }: Services, onError: OnError): Job {
  const name = 'webhook relay';
  const onLost = (error: unknown) => {
    metrics.jobFailures.inc({ name });
    onError(error, name);
  };
  return { name, everyMs: RELAY_INTERVAL_MS, run: (isStopping) => relay.run(isStopping, onLost) };
}

/** What a process does in the background: a service all, or all but the relay, a worker the relay alone. */
export type BackgroundWork = 'all' | 'no relay' | 'relay';

export function workOf({ relay }: Pick<Config, 'relay'>): BackgroundWork {
  return relay === 'on' ? 'all' : 'no relay';
}

/**
 * Starts the background loops. Call it once the app listens: what keeps the processor busy before would let the first
 * runs fail.
 * @returns a function that ends them and waits for runs under way
 */
export function startBackground(
  services: Services,
  onError: OnError,
  work: BackgroundWork = 'all',
): () => Promise<void> {
  const jobs = [
    ...(work === 'relay' ? [] : jobsOf(services)),
    ...(work === 'no relay' ? [] : [relayJob(services, onError)]),
  ];
  const loops = jobs.map(({ name, run, ...options }) =>
    startPoller(run, {
      ...options,
      onError: (error) => {
        services.metrics.jobFailures.inc({ name });
        onError(error, name);
      },
    }),
  );
  return async () => {
    await Promise.all([services.audits.stop(), services.paymentAudits.stop()]);
    await Promise.all(loops.map((loop) => loop.stop()));
  };
}
