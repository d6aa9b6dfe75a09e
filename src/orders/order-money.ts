import type { OrderStatus } from './order-state.ts';

/**
 * The money of an order, in cents: what was captured (C) and refunded (F) for it, and whether a person set it PAID, which
 * counts as its total having come (A). `accepted` is the difference that a person has accepted; it stands for that
 * difference alone.
 */
export interface OrderMoney {
  totalCents: number;
  paidCents: number;
  refundedCents: number;
  paidByHand: boolean;
  acceptedCents: number;
}

/** R = max(C, A) − F: what the shop holds for the order. Below 0, more went back than came. */
export function heldCents({ totalCents, paidCents, refundedCents, paidByHand }: OrderMoney): number {
  return Math.max(paidCents, paidByHand ? totalCents : 0) - refundedCents;
}

/** What the shop should hold: the total of an order that is PAID or SHIPPED, and nothing for another. */
function targetCents(status: OrderStatus, { totalCents }: OrderMoney): number {
  return status === 'PAID' || status === 'SHIPPED' ? totalCents : 0;
}

/** What the shop holds beyond what it should. */
export function differenceCents(status: OrderStatus, money: OrderMoney): number {
  return heldCents(money) - targetCents(status, money);
}

/** The difference is none, or the one that a person has accepted. Otherwise an exception or a due refund says so. */
export function isBalanced(status: OrderStatus, money: OrderMoney): boolean {
  return differenceCents(status, money) === money.acceptedCents;
}

/**
 * The money of an order after a change. What a person accepted does not stand for another difference, nor for another
 * target, nor for money of an order that is canceled only now.
 */
export function moneyAfter(
  before: { status: OrderStatus; money: OrderMoney },
  to: OrderStatus,
  money: OrderMoney,
): OrderMoney {
  const stands =
    differenceCents(to, money) === differenceCents(before.status, before.money) &&
    targetCents(to, money) === targetCents(before.status, before.money);
  const endsHolding = before.status !== to && to === 'CANCELED' && heldCents(money) > 0;
  return stands && !endsHolding ? money : { ...money, acceptedCents: 0 };
}

/** Money is held for an order that is canceled, and nobody has accepted that. */
export function isRefundDue(status: OrderStatus, money: OrderMoney): boolean {
  return status === 'CANCELED' && heldCents(money) > 0 && !isBalanced(status, money);
}
