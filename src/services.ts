import type { Db } from './db/types.ts';
import { purgeKeys } from './idempotency/idempotency.service.ts';
import type { Clock } from './lib/clock.ts';
import type { Metrics } from './lib/metrics.ts';
import { startPoller } from './lib/poller.ts';
import { createOrderService } from './orders/order.service.ts';
import { createPaymentService } from './payments/payment.service.ts';
import { createProductService } from './products/product.service.ts';

export interface Dependencies {
  db: Db;
  clock: Clock;
  metrics: Metrics;
}

export type Services = ReturnType<typeof createServices>;

/** The one place where services are put together; the server, the tests and the scripts all use it. */
export function createServices(dependencies: Dependencies) {
  const { db, clock, metrics } = dependencies;
  return {
    db,
    clock,
    metrics,
    products: createProductService({ db }),
    orders: createOrderService({ db, clock, metrics }),
    payments: createPaymentService({ db, metrics }),
  };
}

/** Old keys are deleted in batches; at this pace, 144,000 a day. */
const PURGE_INTERVAL_MS = 10 * 60 * 1000;

/** Starts the background loops. @returns a function that ends them and waits for runs under way */
export function startBackground({ db }: Services, onError: (error: unknown) => void): () => Promise<void> {
  const purge = startPoller(() => purgeKeys(db), PURGE_INTERVAL_MS, onError);
  return () => purge.stop();
}
