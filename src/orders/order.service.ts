import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { listEventsOf, type StoredEvent } from '../events/event.repository.ts';
import { type IdempotencyKey, type Once, runOnce } from '../idempotency/idempotency.service.ts';
import { findStock } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import type { Clock } from '../lib/clock.ts';
import { AppError } from '../lib/errors.ts';
import type { Metrics } from '../lib/metrics.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import { requireVersion, type VersionMatch } from '../lib/versions.ts';
import { decideOrder } from './decide-order.ts';
import { findOrder, listOrders, lockOrder } from './order.repository.ts';
import type { OrderStatus } from './order-state.ts';
import { applyTransition } from './order-transition.ts';
import type { NewOrder, Order, OrderFilter, OrderPreview, OrderTransition } from './order.ts';
import { placeOrders, previewOrder } from './place-orders.ts';

export type OrderService = ReturnType<typeof createOrderService>;

export function createOrderService({ db, clock, metrics }: { db: Db; clock: Clock; metrics: Metrics }) {
  return {
    /** @throws AppError product_not_found, product_inactive, insufficient_stock, total_out_of_range */
    async place(order: NewOrder, caller: Caller, key: IdempotencyKey | undefined): Promise<Once<Order>> {
      try {
        const placed = await inTransaction(db, (tx) =>
          runOnce(tx, key, 201, () => placeOne(tx, order, caller)),
        );
        if (!placed.replayed) metrics.ordersPlaced.inc();
        return placed;
      } catch (error) {
        if (error instanceof AppError) metrics.ordersRefused.inc({ code: error.code });
        throw error;
      }
    },

    /** What placing would answer now. Nothing is locked, reserved or written. */
    async preview(order: NewOrder): Promise<OrderPreview> {
      const products = await findStock(
        db,
        order.items.map(({ productId }) => productId),
      );
      const decision = decideOrder(order, products);
      if (decision instanceof AppError) throw decision;
      return previewOrder(order, decision, new Date(clock.nowMs()).toISOString());
    },

    async get(id: number): Promise<Order> {
      return (await findOrder(db, id)) ?? notFound();
    },

    async list(filter: OrderFilter, query: PageQuery): Promise<Page<Order>> {
      const filters = { ...filter };
      const page = pageRequest(query, '-id', filters);
      return toPage(await listOrders(db, filter, page), page, filters);
    },

    /** Every step of the order's life, oldest first. */
    async history(id: number): Promise<OrderTransition[]> {
      const events = await listEventsOf(db, 'order', id);
      return events.length === 0 ? notFound() : events.map(toTransition);
    },

    /** @throws AppError order_not_found, version_mismatch, invalid_status_transition */
    async changeStatus(
      id: number,
      to: OrderStatus,
      caller: Caller,
      ifMatch: VersionMatch | undefined,
    ): Promise<Order> {
      const order = await inTransaction(db, async (tx) => {
        const current = (await lockOrder(tx, id)) ?? notFound();
        requireVersion(ifMatch, current);
        return applyTransition(tx, current, { to, cause: 'request' }, caller);
      });
      metrics.orderTransitions.inc({ to });
      return order;
    },
  };
}

async function placeOne(tx: Tx, order: NewOrder, caller: Caller): Promise<Order> {
  const [result] = await placeOrders(tx, [{ order, caller }]);
  if (result === undefined) throw new Error('one placement has one result');
  // Thrown, so that the transaction and the key in it are rolled back.
  if (result instanceof AppError) throw result;
  return result;
}

function toTransition(event: StoredEvent): OrderTransition {
  // Order events are written by place-orders.ts and order-transition.ts only, all with this member.
  const { transition } = event.payload as { transition: Partial<OrderTransition> & { to: OrderStatus } };
  return {
    from: transition.from ?? null,
    to: transition.to,
    at: event.occurredAt,
    actor: event.actor,
    cause: transition.cause ?? '',
    version: event.version,
    request_id: event.requestId,
    refund_due: transition.refund_due ?? false,
  };
}

function notFound(): never {
  throw new AppError('order_not_found', 'Order not found');
}
