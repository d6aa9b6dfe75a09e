import type { ShopTerms } from './config.ts';
import type { Database } from './db/database.ts';
import { createIdReader } from './db/id-reader.ts';
import type { Db } from './db/types.ts';
import { showPoolUse } from './db/pool-gauges.ts';
import { createEventRetention } from './events/retention.service.ts';
import { createEventReader, createFeedService, type EventReader } from './events/feed.service.ts';
import { createStreamService, type StreamDependencies } from './events/stream/stream.service.ts';
import { auditInventory } from './inventory/audit.repository.ts';
import { createAuditService } from './inventory/audit.service.ts';
import type { Clock } from './lib/clock.ts';
import { observeBatches } from './lib/metrics.ts';
import { createSecretBox } from './lib/secret-box.ts';
import type { Metrics } from './metrics.ts';
import { createRoomMaker } from './orders/expiry/expiry.service.ts';
import { createOrderPlacer } from './orders/placing/order-placer.ts';
import { orderCreated } from './orders/order.events.ts';
import { findPlacedOrders, findReadyOrders } from './orders/order.repository.ts';
import { createOrderService } from './orders/order.service.ts';
import { eventTypes } from './event-types.ts';
import type { EndpointRules } from './outbound/address-guard.ts';
import { findOutletPlace } from './outbound/fan-out.repository.ts';
import { createDeliveryService } from './outbound/delivery.service.ts';
import { createEndpointService } from './outbound/endpoint.service.ts';
import { createResolver, type Resolve } from './outbound/guarded-connector.ts';
import { showBacklog } from './outbound/outbound-gauges.ts';
import { createRelay, PER_ENDPOINT } from './outbound/relay.service.ts';
import { createResendService } from './outbound/resend.service.ts';
import { createSender } from './outbound/sender.ts';
import { showFailed } from './inbound/inbox-gauges.ts';
import { createInboxService } from './inbound/inbox.service.ts';
import { auditPayments } from './payments/payment-audit.repository.ts';
import { createOrderPaymentsService } from './payments/order-payments.service.ts';
import { createPaymentExceptionService } from './payments/payment-exception.service.ts';
import { showOpenExceptions } from './payments/payment-gauges.ts';
import { createPaymentService } from './payments/payment.service.ts';
import { setPaid } from './payments/set-paid.tx.ts';
import { findReadyProducts } from './products/product.repository.ts';
import { createProductService } from './products/product.service.ts';
import { createProductStockService } from './products/product-stock.service.ts';

export interface Dependencies {
  database: Omit<Database, 'close'>;
  clock: Clock;
  metrics: Metrics;
  shop: ShopTerms;
  /** The threshold of products that are created without one; 0 for none. */
  lowStockThreshold?: number;
  /** How long events stay in the log, in days; 0 for ever. */
  eventRetentionDays?: number;
  outbound: OutboundSettings;
  streamLimits?: StreamDependencies['limits'];
}

export interface OutboundSettings {
  rules: EndpointRules;
  /** What encrypts the secrets of endpoints, the current key first; empty: there can be no endpoints. */
  secretsKeys: readonly Buffer[];
  /** Days that deliveries are kept after they arrived; 0 for ever. */
  retentionDays: number;
  /** The system's name servers, unless a test has others. */
  resolve?: Resolve;
  /** Times that a test cannot wait for, instead of those of the relay. */
  limits?: { deadlineMs?: number; leaseMs?: number };
}

export type Services = ReturnType<typeof createServices>;

const EVENT_TYPES: ReadonlySet<string> = new Set(eventTypes.map(({ type }) => type));

/** The one place where services are put together; the server, the tests and the scripts all use it. */
export function createServices(dependencies: Dependencies) {
  const { database, clock, metrics, shop, lowStockThreshold = 0 } = dependencies;
  const terms = { ttlMinutes: shop.orderTtlMinutes, currency: shop.currency };
  const { db, lists, reads, lane } = database;
  showPoolUse(database.pools, metrics.registry);
  const room = createRoomMaker({ db, metrics });
  const placer = createOrderPlacer({ lane, reads, room, metrics, terms });
  const payments = createPaymentService({
    db: database.payments,
    metrics,
    terms: { currency: shop.currency, failedPayment: shop.paymentFailed },
  });
  const { audits, paymentAudits } = createAudits(database.reports, metrics);
  const inbox = createInboxService({ db, lists, reads, clock, metrics, payments });
  const events = createEventServices(dependencies);
  const outbound = createOutboundServices(dependencies, events.readEvents);
  showOpenExceptions(db, metrics.registry);
  showFailed(db, metrics.registry);
  const { productReader, orderReader } = createReaders(reads, metrics);
  return {
    db,
    clock,
    metrics,
    products: createProductService({ db, lists, reader: productReader, lowStockThreshold }),
    orders: createOrderService({
      db,
      lists,
      reads,
      placer,
      reader: orderReader,
      setPaid,
      metrics,
      terms,
    }),
    payments,
    orderPayments: createOrderPaymentsService({ db, lists, metrics }),
    stock: createProductStockService({ db, lists, reader: productReader }),
    audits,
    paymentAudits,
    inbox,
    exceptions: createPaymentExceptionService({ db, lists, reads }),
    ...events,
    ...outbound,
    /** Finishes what the batchers have queued; they take nothing after it. */
    async stop() {
      await Promise.all([
        placer.stop(),
        payments.stop(),
        audits.stop(),
        paymentAudits.stop(),
        productReader.stop(),
        orderReader.stop(),
        outbound.relay.stop(),
      ]);
      await inbox.flush();
    },
  };
}

/** What reads the event log, and what ends it. */
function createEventServices({
  database,
  metrics,
  eventRetentionDays: days = 0,
  streamLimits: limits = {},
}: Dependencies) {
  const { db, lists, commits } = database;
  const readEvents = createEventReader({ [orderCreated.type]: findPlacedOrders });
  return {
    readEvents,
    feed: createFeedService({ lists, read: readEvents }),
    streams: createStreamService({ lists, read: readEvents, commits, metrics, limits }),
    retention: createEventRetention({ db, days, findSlowestOutlet: findOutletPlace }),
  };
}

/** What sends webhooks. */
function createOutboundServices(
  { database, clock, metrics, outbound }: Dependencies,
  readEvents: EventReader,
) {
  const { db, lists, reads } = database;
  const { rules, retentionDays, resolve = createResolver(), limits = {} } = outbound;
  const [currentKey, ...previousKeys] = outbound.secretsKeys;
  const box = currentKey && createSecretBox([currentKey, ...previousKeys]);
  const { deadlineMs, leaseMs } = limits;
  const sending = deadlineMs === undefined ? {} : { deadlineMs };
  const sender = createSender({ rules, resolve, clock, connections: PER_ENDPOINT, ...sending });
  showBacklog(db, metrics.registry);
  return {
    relay: createRelay({ db, readEvents, box, sender, clock, metrics, leaseMs }),
    resends: createResendService({ db, reads }),
    deliveries: createDeliveryService({ db, lists, reads, retentionDays }),
    endpoints: createEndpointService({ db, lists, reads, box, rules, resolve, types: EVENT_TYPES }),
  };
}

function createReaders(reads: Db, metrics: Metrics) {
  return {
    productReader: createIdReader(
      (ids) => findReadyProducts(reads, ids),
      observeBatches(metrics, 'product_reads'),
    ),
    orderReader: createIdReader((ids) => findReadyOrders(reads, ids), observeBatches(metrics, 'order_reads')),
  };
}

function createAudits(reports: Database['reports'], metrics: Metrics) {
  const audits = createAuditService({
    reports,
    read: auditInventory,
    show(audit) {
      metrics.inventoryDrift.set(audit.drift_units);
      metrics.inventoryAuditedAt.set(Date.parse(audit.checked_at) / 1000);
    },
    metricName: 'inventory_drift_units',
  });
  const paymentAudits = createAuditService({
    reports,
    read: auditPayments,
    show(audit) {
      metrics.paymentsDrift.set(audit.drift_cents);
      metrics.paymentsAuditedAt.set(Date.parse(audit.checked_at) / 1000);
    },
    metricName: 'payments_drift_cents',
  });
  return { audits, paymentAudits };
}
