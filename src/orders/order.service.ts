import type { IdReader } from '../db/id-reader.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import type { Once } from '../idempotency/run-once.tx.ts';
import type { RequestContext } from '../idempotency/context.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import type { OrderMetrics } from './order.metrics.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import type { ReadyAnswer } from '../lib/ready-answer.ts';
import { requireVersion, type VersionMatch } from '../lib/versions.ts';
import { decideOrder, previewOrder } from './placing/decide-order.ts';
import { listSteps } from './order-history.repository.ts';
import { listOrders, lockOrders } from './order.repository.ts';
import { expireIfOverdue } from './expiry/expire-orders.tx.ts';
import { findSellableStock } from './expiry/overdue.repository.ts';
import { expiryTime, type OrderStatus } from './order-state.ts';
import { applyTransitions, asSeen, invalidTransition } from './order-transition.tx.ts';
import type {
  LockedOrder,
  NewOrder,
  Order,
  OrderFilter,
  OrderPreview,
  OrderTransition,
  OrderTerms,
} from './order.ts';
import type { OrderPlacer } from './placing/order-placer.ts';

export type OrderService = ReturnType<typeof createOrderService>;

/** What orders need of payments, which stand above them: a person sets a locked order PAID. */
export type SetPaid = (tx: Tx, order: LockedOrder, caller: Caller) => Promise<LockedOrder>;

export interface OrderServiceDependencies {
  db: Db;
  lists: Db;
  reads: Db;
  placer: OrderPlacer;
  reader: IdReader;
  setPaid: SetPaid;
  metrics: OrderMetrics;
  terms: OrderTerms;
}

export function createOrderService(dependencies: OrderServiceDependencies) {
  const { db, lists, reads, placer, reader, setPaid, metrics, terms } = dependencies;
  return {
    /** @throws AppError product_not_found, product_inactive, insufficient_stock, total_out_of_range */
    async place(order: NewOrder, { caller, key }: RequestContext): Promise<Once<Order>> {
      try {
        const placed = await placer.place({ order, caller, key });
        if (!placed.replayed) metrics.ordersPlaced.inc();
        return placed;
      } catch (error) {
        if (error instanceof AppError) metrics.ordersRefused.inc({ code: error.code });
        throw error;
      }
    },

    /** What placing would answer now. Nothing is locked, reserved or written. */
    async preview(order: NewOrder): Promise<OrderPreview> {
      const { products, now } = await findSellableStock(
        reads,
        order.items.map(({ productId }) => productId),
      );
      const decision = decideOrder(order, products);
      if (decision instanceof AppError) throw decision;
      return previewOrder(order, decision, now, {
        currency: terms.currency,
        expiresAt: expiryTime(now, terms.ttlMinutes),
      });
    },

    async get(id: number): Promise<ReadyAnswer> {
      return (await reader.find(id)) ?? notFound();
    },

    async list(filter: OrderFilter, query: PageQuery): Promise<Page<Order>> {
      const filters = { ...filter };
      const page = pageRequest(query, '-id', filters);
      return toPage(await listOrders(lists, filter, page), page, filters);
    },

    /** Every step of the order's life, oldest first. */
    async history(id: number): Promise<OrderTransition[]> {
      const steps = await listSteps(reads, id);
      return steps.length === 0 ? notFound() : steps;
    },

    /**
     * An order whose refund came before its payment is canceled as soon as it is paid, also by hand: its money has gone
     * back already, and shipping it would give the goods away.
     * @throws AppError order_not_found, version_mismatch, invalid_status_transition
     */
    async changeStatus(id: number, to: OrderStatus, { caller, ifMatch }: RequestContext): Promise<Order> {
      const { order, hasExpired } = await inTransaction(db, (tx) =>
        moveOrder(tx, { id, to, caller, ifMatch }, setPaid),
      );
      if (hasExpired) {
        // Refused only now, because a refusal inside of the transaction would take the expiry back.
        metrics.ordersExpired.inc({ by: 'request' });
        requireVersion(ifMatch, order);
        throw invalidTransition(order.status, to);
      }
      metrics.orderTransitions.inc({ to: order.status });
      return order;
    },
  };
}

interface Move {
  id: number;
  to: OrderStatus;
  caller: Caller;
  ifMatch: VersionMatch | undefined;
}

/**
 * An overdue order expires, no matter which change was asked for; then the answer is that of the order as the sweep would leave it.
 * A refund that came before its payment takes effect when the order is set to PAID by hand, too.
 */
async function moveOrder(
  tx: Tx,
  { id, to, caller, ifMatch }: Move,
  setPaid: SetPaid,
): Promise<{ order: Order; hasExpired: boolean }> {
  const current = (await lockOrders(tx, [id])).get(id) ?? notFound();
  const expired = await expireIfOverdue(tx, current, caller);
  if (expired !== undefined) return { order: asSeen(expired), hasExpired: true };
  requireVersion(ifMatch, asSeen(current));
  if (to === 'PAID') return { order: asSeen(await setPaid(tx, current, caller)), hasExpired: false };
  const [after] = await applyTransitions(tx, [{ order: current, steps: [to], cause: 'request', caller }]);
  return { order: asSeen(after ?? notFound()), hasExpired: false };
}

function notFound(): never {
  throw new AppError('order_not_found', 'Order not found');
}
