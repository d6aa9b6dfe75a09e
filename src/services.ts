import { createIdReader } from './db/id-reader.ts';
import { type PoolCounts, showPoolUse } from './db/pool-gauges.ts';
import type { Reports } from './db/reports.ts';
import type { Db } from './db/types.ts';
import { purgeKeys } from './idempotency/idempotency.service.ts';
import { createAuditService } from './inventory/audit.service.ts';
import { createInventoryService } from './inventory/inventory.service.ts';
import type { Clock } from './lib/clock.ts';
import { type Metrics, observeBatches } from './lib/metrics.ts';
import { startPoller } from './lib/poller.ts';
import { sweepOverdueOrders } from './orders/expire-orders.ts';
import { releaseHolds } from './orders/hold-releaser.ts';
import { createOrderPlacer } from './orders/order-placer.ts';
import { findReadyOrders } from './orders/order.repository.ts';
import { createOrderService } from './orders/order.service.ts';
import { createInboxService } from './payments/inbox.service.ts';
import { createPaymentExceptionService } from './payments/payment-exception.service.ts';
import { showWaitingWork } from './payments/payment-gauges.ts';
import { createPaymentService } from './payments/payment.service.ts';
import { findReadyProducts } from './products/product.repository.ts';
import { createProductService } from './products/product.service.ts';

export interface Dependencies {
  db: Db;
  /** See `Database.lane`: orders are placed on it. */
  lane: Db;
  reports: Reports;
  /** The connections of `db`. */
  pool: PoolCounts;
  clock: Clock;
  metrics: Metrics;
  /** How long an order may stay unpaid; 0 for ever. */
  orderTtlMinutes: number;
}

export type Services = ReturnType<typeof createServices>;

/** The one place where services are put together; the server, the tests and the scripts all use it. */
export function createServices(dependencies: Dependencies) {
  const { db, lane, reports, pool, clock, metrics, orderTtlMinutes: ttlMinutes } = dependencies;
  const placer = releaseHolds(createOrderPlacer({ db, lane, metrics, ttlMinutes }), { db, metrics });
  const payments = createPaymentService({ db, metrics });
  const audits = createAuditService({ reports, metrics });
  const inbox = createInboxService({ db, clock, metrics, payments });
  showWaitingWork(db, metrics);
  showPoolUse(pool, metrics.registry);
  const productReader = createIdReader(
    (ids) => findReadyProducts(db, ids),
    observeBatches(metrics, 'product_reads'),
  );
  const orderReader = createIdReader(
    (ids) => findReadyOrders(db, ids),
    observeBatches(metrics, 'order_reads'),
  );
  return {
    db,
    clock,
    metrics,
    products: createProductService({ db, reader: productReader }),
    orders: createOrderService({ db, placer, reader: orderReader, metrics, ttlMinutes }),
    payments,
    inventory: createInventoryService({ db, products: productReader }),
    audits,
    inbox,
    exceptions: createPaymentExceptionService({ db }),
    /** Finishes what the batchers have queued; they take nothing after it. */
    async stop() {
      await Promise.all([
        placer.stop(),
        payments.stop(),
        audits.stop(),
        productReader.stop(),
        orderReader.stop(),
      ]);
      await inbox.flush();
    },
  };
}

/** Old rows are deleted in batches; at this pace, 144,000 of a kind a day. */
const PURGE_INTERVAL_MS = 10 * 60 * 1000;
/** What the lists show is behind by this much; an order that needs the stock of an overdue one does not wait for it. */
const SWEEP_INTERVAL_MS = 1000;
/** A run may take 30 s, and keeps PostgreSQL from cleaning up behind busy rows for as long: a tenth of the time at most. */
const AUDIT_INTERVAL_MS = 5 * 60 * 1000;
/** How soon refused deliveries that a database in trouble could not take are tried again. */
const INBOX_INTERVAL_MS = 5000;

/** Starts the background loops. @returns a function that ends them and waits for runs under way */
export function startBackground(
  { db, metrics, audits, inbox }: Services,
  onError: (error: unknown) => void,
): () => Promise<void> {
  const loops = [
    startPoller(() => purgeKeys(db), PURGE_INTERVAL_MS, onError),
    startPoller(inbox.purge, PURGE_INTERVAL_MS, onError),
    startPoller(inbox.flush, INBOX_INTERVAL_MS, onError),
    startPoller(() => sweepOverdueOrders(db, metrics), SWEEP_INTERVAL_MS, onError),
    startPoller(() => audits.refresh(), AUDIT_INTERVAL_MS, onError),
  ];
  // The metric has a value from the start, and does not wait five minutes for it.
  void audits.refresh().catch(onError);
  return async () => {
    await audits.stop();
    await Promise.all(loops.map((loop) => loop.stop()));
  };
}
