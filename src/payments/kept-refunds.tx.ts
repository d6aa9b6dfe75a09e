import type { Tx } from '../db/types.ts';
import { newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { type KeptRefund, lockKeptRefunds, resolveExceptions } from './payment-exception.repository.ts';
import { reviewResolved } from './payment.events.ts';

/**
 * The refunds of the whole total that came before the payment of one of these orders, whose rows the caller has locked.
 * Nobody else can resolve them until the transaction ends. Who finds some cancels the order together with paying it, and
 * then settles them.
 */
export function takeKeptRefunds(tx: Tx, orderIds: readonly number[]): Promise<KeptRefund[]> {
  return lockKeptRefunds(tx, orderIds);
}

/**
 * Closes the exceptions of refunds that were kept for a payment, now that it has come and this transaction has canceled
 * the order with it.
 */
export async function settleKeptRefunds(tx: Tx, kept: readonly KeptRefund[], caller: Caller): Promise<void> {
  if (kept.length === 0) return;
  const note = 'The payment came, and the order was canceled with it';
  const ids = kept.map(({ id }) => id);
  const resolved = await resolveExceptions(tx, ids, { resolution: 'refunded', note }, caller);
  await appendEvents(
    tx,
    resolved.map((exception) => newEvent(reviewResolved, exception, { exception }, caller)),
  );
}
