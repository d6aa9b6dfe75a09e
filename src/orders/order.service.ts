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
import { listOrders, listSteps, lockOrders } from './order.repository.ts';
import { expireIfOverdue } from './expiry/expire-orders.tx.ts';
import { findSellableStock } from './expiry/overdue.repository.ts';
import { expiryTime, type OrderStatus } from './order-state.ts';
import { applyTransitions, invalidTransition, type Transition } from './order-transition.tx.ts';
import type { NewOrder, Order, OrderFilter, OrderPreview, OrderTransition } from './order.ts';
import type { OrderPlacer } from './placing/order-placer.ts';

export type OrderService = ReturnType<typeof createOrderService>;

/** A refund of the whole total that came before its payment. */
interface KeptRefund {
  readonly id: number;
  readonly orderId: number;
}

/** What orders need of payments, which stand above them. */
export interface KeptRefunds {
  /** Locks the refunds that are kept for orders, which the transaction has locked before. */
  take(tx: Tx, orderIds: readonly number[]): Promise<KeptRefund[]>;
  /** Closes them, once the order is paid and canceled. */
  settle(tx: Tx, kept: readonly KeptRefund[], caller: Caller): Promise<void>;
}

export interface OrderServiceDependencies {
  db: Db;
  lists: Db;
  reads: Db;
  placer: OrderPlacer;
  reader: IdReader;
  refunds: KeptRefunds;
  metrics: OrderMetrics;
  /** How long an order may stay unpaid; 0 for ever. */
  ttlMinutes: number;
}

export function createOrderService(dependencies: OrderServiceDependencies) {
  const { db, lists, reads, placer, reader, refunds, metrics, ttlMinutes } = dependencies;
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
      return previewOrder(order, decision, now, expiryTime(now, ttlMinutes));
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
        moveOrder(tx, { id, to, caller, ifMatch }, refunds),
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
  refunds: KeptRefunds,
): Promise<{ order: Order; hasExpired: boolean }> {
  const current = (await lockOrders(tx, [id])).get(id) ?? notFound();
  const expired = await expireIfOverdue(tx, current, caller);
  if (expired !== undefined) return { order: expired, hasExpired: true };
  requireVersion(ifMatch, current);
  const kept = to === 'PAID' ? await refunds.take(tx, [id]) : [];
  const way: Pick<Transition, 'steps' | 'refundDue'> =
    kept.length > 0 ? { steps: [to, 'CANCELED'], refundDue: false } : { steps: [to] };
  const [after] = await applyTransitions(tx, [{ order: current, ...way, cause: 'request', caller }]);
  await refunds.settle(tx, kept, caller);
  return { order: after ?? notFound(), hasExpired: false };
}

function notFound(): never {
  throw new AppError('order_not_found', 'Order not found');
}
