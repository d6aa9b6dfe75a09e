import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import { type Once, runOnce } from '../idempotency/run-once.tx.ts';
import type { RequestContext } from '../idempotency/context.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import { differenceCents } from '../orders/order-money.ts';
import { lockOrders } from '../orders/order.repository.ts';
import { applyTransitions, asSeen } from '../orders/order-transition.tx.ts';
import type { LockedOrder } from '../orders/order.ts';
import { requireVersion, type VersionMatch } from '../lib/versions.ts';
import {
  countOtherOpen,
  findException,
  listExceptions,
  lockException,
  resolveExceptions,
} from './payment-exception.repository.ts';
import type { PaymentException } from './payment-exception.schemas.ts';
import type { ExceptionFilter, Resolution } from './payment-exception.ts';
import { type ReviewReason, settlingReasons } from './payment-rules.ts';
import { differenceAccepted, reviewResolved } from './payment.events.ts';

export type PaymentExceptionService = ReturnType<typeof createPaymentExceptionService>;

export interface ResolveCommand {
  resolution: Resolution;
  note: string | null;
}

export function createPaymentExceptionService({ db, lists, reads }: { db: Db; lists: Db; reads: Db }) {
  return {
    async get(id: number): Promise<PaymentException> {
      return (await findException(reads, id)) ?? notFound();
    },

    /** A list to be worked off: the oldest first. */
    async list(filter: ExceptionFilter, query: PageQuery): Promise<Page<PaymentException>> {
      const filters = { ...filter };
      const page = pageRequest(query, 'id', filters);
      return toPage(await listExceptions(lists, filter, page), page, filters);
    },

    /**
     * Records what a person has done. A second call is refused, also with the same resolution: two people who
     * both say "refunded" may both have sent the money back, and the second of them must hear of it.
     * @throws AppError exception_not_found, version_mismatch, exception_already_resolved
     */
    resolve(
      id: number,
      command: ResolveCommand,
      { caller, ifMatch, key }: RequestContext,
    ): Promise<Once<PaymentException>> {
      return inTransaction(db, async (tx) => {
        // The order before the key and the exception, as everywhere: an event that changes its sums may settle the
        // exception at this moment, and another call with the same key may hold the order.
        const { order_id } = (await findException(tx, id)) ?? notFound();
        const order = (await lockOrders(tx, [order_id])).get(order_id);
        return runOnce(tx, key, 200, () => resolveException(tx, { id, order, command, caller, ifMatch }));
      });
    },
  };
}

interface Resolving {
  id: number;
  order: LockedOrder | undefined;
  command: ResolveCommand;
  caller: Caller;
  ifMatch: VersionMatch | undefined;
}

async function resolveException(
  tx: Tx,
  { id, order, command, caller, ifMatch }: Resolving,
): Promise<PaymentException> {
  // Under the lock, so that one of several wins.
  const current = (await lockException(tx, id)) ?? notFound();
  requireVersion(ifMatch, current);
  if (current.status === 'RESOLVED') {
    const detail = `The exception was resolved as ${current.resolution} at ${current.resolved_at}`;
    throw new AppError('exception_already_resolved', detail, { fields: { current } });
  }
  const [resolved] = await resolveExceptions(tx, [id], command, caller);
  if (resolved === undefined) throw new Error(`exception ${id} vanished inside its own transaction`);
  await acceptDifference(tx, resolved, order, caller);
  await appendEvents(tx, [newEvent(reviewResolved, resolved, { exception: resolved }, caller)]);
  return resolved;
}

/** With the last exception about its sums, a person has accepted that the sums of an order differ as they do. */
async function acceptDifference(
  tx: Tx,
  exception: PaymentException,
  order: LockedOrder | undefined,
  caller: Caller,
): Promise<void> {
  const isOfSums = (settlingReasons as readonly ReviewReason[]).includes(exception.reason);
  if (!isOfSums || order === undefined || (await countOtherOpen(tx, exception, settlingReasons)) > 0) return;
  const acceptedCents = differenceCents(order.status, order.money);
  const money = { ...order.money, acceptedCents };
  await applyTransitions(tx, [{ order, steps: [], money, cause: 'request', caller }], (orders) =>
    orders.map((after) => newEvent(differenceAccepted, after, { order: asSeen(after) }, caller)),
  );
}

function notFound(): never {
  throw new AppError('exception_not_found', 'Payment exception not found');
}
