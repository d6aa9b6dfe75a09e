import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import type { RequestContext } from '../idempotency/context.ts';
import { type Once, runOnce } from '../idempotency/run-once.tx.ts';
import { lockStock } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { centsToDecimal } from '../lib/money.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import { requireVersion } from '../lib/versions.ts';
import { findExpiries } from '../orders/expiry/overdue.repository.ts';
import { heldCents } from '../orders/order-money.ts';
import type { OrderMetrics } from '../orders/order.metrics.ts';
import { findReadyOrders, lockOrders } from '../orders/order.repository.ts';
import { asSeen, productsOf } from '../orders/order-transition.tx.ts';
import type { LockedOrder } from '../orders/order.ts';
import { moveMoney } from './move-money.tx.ts';
import type { RecordedPayment } from './order-payments.schemas.ts';
import { listPayments } from './payment-ledger.repository.ts';
import type { PaymentMetrics } from './payment.metrics.ts';
import { decidePayment, type PaymentEntry, type ReviewReason } from './payment-rules.ts';
import type { Payment } from './payment.schemas.ts';

/** Money that came or went another way than through a provider, as a person records it. */
export interface ManualPayment extends PaymentEntry {
  method: string | null;
  note: string;
}

export type OrderPaymentsService = ReturnType<typeof createOrderPaymentsService>;

export interface OrderPaymentsServiceDependencies {
  db: Db;
  lists: Db;
  metrics: OrderMetrics & PaymentMetrics;
}

export function createOrderPaymentsService({ db, lists, metrics }: OrderPaymentsServiceDependencies) {
  return {
    /** @throws AppError order_not_found */
    async list(orderId: number, query: PageQuery): Promise<Page<Payment>> {
      // A cursor of one order's ledger leads nowhere in another's.
      const filters = { orderId };
      const page = pageRequest(query, 'id', filters);
      const payments = await listPayments(lists, orderId, page);
      if (payments.length === 0 && (await findReadyOrders(lists, [orderId])).length === 0) notFound();
      return toPage(payments, page, filters);
    },

    /**
     * The same table decides as for webhooks.
     * @throws AppError order_not_found, version_mismatch, refund_exceeds_held, idempotency_key_reused
     */
    async record(
      orderId: number,
      payment: ManualPayment,
      { caller, key, ifMatch }: RequestContext,
    ): Promise<Once<RecordedPayment>> {
      const counts: (() => void)[] = [];
      const once = await inTransaction(db, async (tx) => {
        counts.length = 0;
        // The order and its products before the key: the transaction that places orders locks products first and then
        // inserts keys, and one with the same key would wait for this transaction while it waits for the product.
        const order = (await lockOrders(tx, [orderId])).get(orderId) ?? notFound();
        await lockStock(tx, productsOf([order]));
        return runOnce(tx, key, 201, async () => {
          requireVersion(ifMatch, asSeen(order));
          const { recorded, count } = await record(tx, { order, payment, caller, metrics });
          counts.push(count);
          return recorded;
        });
      });
      for (const count of counts) count();
      return once;
    },
  };
}

interface Recording {
  order: LockedOrder;
  payment: ManualPayment;
  caller: Caller;
  metrics: OrderMetrics & PaymentMetrics;
}

/** @returns what is answered, and what counts it in the metrics once it is committed */
async function record(
  tx: Tx,
  { order, payment, caller, metrics }: Recording,
): Promise<{ recorded: RecordedPayment; count: () => void }> {
  const { kind, amountCents, method, note } = payment;
  const held = heldCents(order.money);
  if (kind === 'refunded' && amountCents > held) throw exceedsHeld(held, amountCents);
  const expiry = (await findExpiries(tx, [order])).get(order.id);
  const hasExpired = expiry !== undefined;
  const expires = expiry === 'overdue';
  const type = kind === 'captured' ? 'payment.succeeded' : 'payment.refunded';
  const status = hasExpired ? 'CANCELED' : order.status;
  const decision = decidePayment({ status, hasExpired, money: order.money }, { type, amountCents });
  const source = {
    provider: 'manual',
    providerPaymentId: undefined,
    paymentEventId: null,
    method,
    note,
  };
  const moved = await moveMoney(tx, [
    { orderId: order.id, order, decision, expires, cause: type, amountCents, source, caller },
  ]);
  const after = moved.orders.get(order.id);
  const [written] = moved.payments;
  if (after === undefined || written === undefined) throw new Error('a payment was not written');
  const { review, steps } = decision;
  return {
    recorded: { payment: written, order: asSeen(after), review, version: after.version },
    count: () => countMoved(metrics, { expires, review, moved: steps.length > 0 ? after.status : null }),
  };
}

function countMoved(
  metrics: OrderMetrics & PaymentMetrics,
  {
    expires,
    review,
    moved,
  }: { expires: boolean; review: ReviewReason | null; moved: LockedOrder['status'] | null },
): void {
  if (expires) metrics.ordersExpired.inc({ by: 'payment' });
  if (review !== null) metrics.paymentExceptions.inc({ reason: review });
  if (moved !== null) metrics.orderTransitions.inc({ to: moved });
}

function exceedsHeld(held: number, refund: number): AppError {
  const amounts = `${centsToDecimal(Math.max(0, held))} for the order, not ${centsToDecimal(refund)}`;
  return new AppError('refund_exceeds_held', `The shop holds ${amounts}`, {
    fields: { held: Math.max(0, held) / 100 },
  });
}

function notFound(): never {
  throw new AppError('order_not_found', 'Order not found');
}
