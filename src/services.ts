import { createIdReader } from './db/id-reader.ts';
import type { Reports } from './db/reports.ts';
import type { Db } from './db/types.ts';
import { purgeKeys } from './idempotency/idempotency.service.ts';
import { createAuditService } from './inventory/audit.service.ts';
import type { Clock } from './lib/clock.ts';
import { type Metrics, observeBatches } from './lib/metrics.ts';
import { startPoller } from './lib/poller.ts';
import { createOrderPlacer } from './orders/order-placer.ts';
import { findOrders } from './orders/order.repository.ts';
import { createOrderService } from './orders/order.service.ts';
import { createPaymentService } from './payments/payment.service.ts';
import { findProducts } from './products/product.repository.ts';
import { createProductService } from './products/product.service.ts';

export interface Dependencies {
  db: Db;
  /** See `Database.lane`: orders are placed on it. */
  lane: Db;
  reports: Reports;
  clock: Clock;
  metrics: Metrics;
}

export type Services = ReturnType<typeof createServices>;

/** The one place where services are put together; the server, the tests and the scripts all use it. */
export function createServices(dependencies: Dependencies) {
  const { db, lane, reports, clock, metrics } = dependencies;
  const placer = createOrderPlacer({ db, lane, metrics });
  const payments = createPaymentService({ db, metrics });
  const audits = createAuditService({ reports, metrics });
  const productReader = createIdReader(
    (ids) => findProducts(db, ids),
    observeBatches(metrics, 'product_reads'),
  );
  const orderReader = createIdReader((ids) => findOrders(db, ids), observeBatches(metrics, 'order_reads'));
  return {
    db,
    clock,
    metrics,
    products: createProductService({ db, reader: productReader }),
    orders: createOrderService({ db, placer, reader: orderReader, clock, metrics }),
    payments,
    audits,
    /** Finishes what the batchers have queued; they take nothing after it. */
    async stop() {
      await Promise.all([
        placer.stop(),
        payments.stop(),
        audits.stop(),
        productReader.stop(),
        orderReader.stop(),
      ]);
    },
  };
}

/** Old keys are deleted in batches; at this pace, 144,000 a day. */
const PURGE_INTERVAL_MS = 10 * 60 * 1000;

/** A run may take 30 s, and keeps PostgreSQL from cleaning up behind busy rows for as long: a tenth of the time at most. */
const AUDIT_INTERVAL_MS = 5 * 60 * 1000;

/** Starts the background loops. @returns a function that ends them and waits for runs under way */
export function startBackground(
  { db, audits }: Services,
  onError: (error: unknown) => void,
): () => Promise<void> {
  const purge = startPoller(() => purgeKeys(db), PURGE_INTERVAL_MS, onError);
  const audit = startPoller(() => audits.refresh(), AUDIT_INTERVAL_MS, onError);
  // The metric has a value from the start, and does not wait five minutes for it.
  void audits.refresh().catch(onError);
  return async () => {
    await audits.stop();
    await Promise.all([purge.stop(), audit.stop()]);
  };
}
