import { createIdReader } from './db/id-reader.ts';
import type { Db } from './db/types.ts';
import { purgeKeys } from './idempotency/idempotency.service.ts';
import type { Clock } from './lib/clock.ts';
import { type Metrics, observeBatches } from './lib/metrics.ts';
import { startPoller } from './lib/poller.ts';
import { createOrderPlacer } from './orders/order-placer.ts';
import { findOrders } from './orders/order.repository.ts';
import { createOrderService } from './orders/order.service.ts';
import { createInboxService } from './payments/inbox.service.ts';
import { createPaymentExceptionService } from './payments/payment-exception.service.ts';
import { showWaitingWork } from './payments/payment-gauges.ts';
import { createPaymentService } from './payments/payment.service.ts';
import { findProducts } from './products/product.repository.ts';
import { createProductService } from './products/product.service.ts';

export interface Dependencies {
  db: Db;
  /** See `Database.lane`: orders are placed on it. */
  lane: Db;
  clock: Clock;
  metrics: Metrics;
}

export type Services = ReturnType<typeof createServices>;

/** The one place where services are put together; the server, the tests and the scripts all use it. */
export function createServices(dependencies: Dependencies) {
  const { db, lane, clock, metrics } = dependencies;
  const placer = createOrderPlacer({ db, lane, metrics });
  const payments = createPaymentService({ db, metrics });
  const inbox = createInboxService({ db, clock, metrics, payments });
  showWaitingWork(db, metrics);
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
    inbox,
    exceptions: createPaymentExceptionService({ db }),
    /** Finishes what the batchers have queued; they take nothing after it. */
    async stop() {
      await Promise.all([placer.stop(), payments.stop(), productReader.stop(), orderReader.stop()]);
      await inbox.flush();
    },
  };
}

/** Old rows are deleted in batches; at this pace, 144,000 of a kind a day. */
const PURGE_INTERVAL_MS = 10 * 60 * 1000;
/** How soon refused deliveries that a database in trouble could not take are tried again. */
const INBOX_INTERVAL_MS = 5000;

/** Starts the background loops. @returns a function that ends them and waits for runs under way */
export function startBackground(
  { db, inbox }: Services,
  onError: (error: unknown) => void,
): () => Promise<void> {
  const pollers = [
    startPoller(() => purgeKeys(db), PURGE_INTERVAL_MS, onError),
    startPoller(inbox.purge, PURGE_INTERVAL_MS, onError),
    startPoller(inbox.flush, INBOX_INTERVAL_MS, onError),
  ];
  return async () => {
    await Promise.all(pollers.map((poller) => poller.stop()));
  };
}
