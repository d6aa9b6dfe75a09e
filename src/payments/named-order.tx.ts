import type { Tx } from '../db/types.ts';
import { AppError } from '../lib/errors.ts';
import type { LockedOrder } from '../orders/order.ts';
import type { PaymentEvent } from './payment-event.ts';
import { isPaidByAnother } from './payment-ledger.repository.ts';

/**
 * Why an event does not touch the order that it names. A provider's payment names its order by what the shop has told the
 * provider, often from what a buyer sends: it may be the order of another buyer. Money that comes is counted all the same,
 * for the sums say what is wrong. What takes an order away is believed only as far as it fits:
 * - a payment that has failed cancels an order only if it was of the whole total, and nothing has come yet;
 * - a refund or a dispute of an unknown payment leaves an order alone that another payment has paid. The event is not used
 *   up, so that it counts when it comes again after its payment.
 * @returns a sentence where the event is ignored, or the refusal
 */
export async function findObjection(
  tx: Tx,
  { type, figure, provider, amountCents }: PaymentEvent,
  { id: orderId, status, money }: LockedOrder,
): Promise<string | AppError | undefined> {
  if (figure === undefined || type === 'payment.succeeded') return undefined;
  if (type === 'payment.failed') {
    const isWhole = amountCents === money.totalCents && money.paidCents === 0;
    return isWhole || status !== 'PENDING' ? undefined : 'The payment that failed was not of the whole order';
  }
  const { paymentId } = figure;
  if (!(await isPaidByAnother(tx, { orderId, provider, paymentId }))) return undefined;
  return new AppError(
    'order_not_found',
    `The payment ${paymentId} is not known, and another one paid the order`,
  );
}
