import type { Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import type { LockedOrder } from '../orders/order.ts';
import { moveMoney } from './move-money.tx.ts';
import { decideByHand } from './payment-rules.ts';

/**
 * A person says that an order is paid, which this transaction has locked and which is not overdue. It is canceled at once
 * when as much went back already.
 * @throws AppError invalid_status_transition
 * @returns the order as it is now
 */
export async function setPaid(tx: Tx, order: LockedOrder, caller: Caller): Promise<LockedOrder> {
  const decision = decideByHand({ status: order.status, hasExpired: false, money: order.money });
  const source = {
    provider: 'manual',
    providerPaymentId: undefined,
    paymentEventId: null,
    method: null,
    note: null,
  };
  const move = { orderId: order.id, order, decision, expires: false, amountCents: undefined, source, caller };
  const { orders } = await moveMoney(tx, [{ ...move, cause: 'request' }]);
  // It was moved, or the transition was refused.
  return orders.get(order.id) as LockedOrder;
}
