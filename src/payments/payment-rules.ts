import {
  differenceCents,
  heldCents,
  isBalanced,
  isRefundDue,
  moneyAfter,
  type OrderMoney,
} from '../orders/order-money.ts';
import type { OrderStatus } from '../orders/order-state.ts';

/**
 * What money does to an order, as one table: event × state × the sum that is held after it (R) → decision. It is the same
 * for webhooks, for payments that a person records, and for orders that a person sets PAID. Whatever the order of arrival,
 * R is what should be held, or an open exception or a due refund says by how much it is not.
 */
export const paymentEventTypes = [
  'payment.succeeded',
  'payment.failed',
  'payment.refunded',
  'payment.disputed',
] as const;
export type PaymentEventType = (typeof paymentEventTypes)[number];

/** These say that sums differ. They settle by themselves when the sums agree. */
const sumReasons = {
  underpaid: 'Less came than the total of the order',
  overpaid: 'More came than the total of the order',
  already_paid: 'The order is paid already',
  order_canceled: 'The order is canceled',
  order_expired: 'The order was not paid in time and has expired',
  partial_refund: 'The shop holds less than the total of the order, and more than nothing',
  refund_before_payment:
    'More went back than has come; the order takes it into account when its payment comes',
  refund_exceeds_payments: 'More went back than has come for a canceled order',
  order_shipped: 'The order is shipped already, and the shop holds less than its total',
} as const;
type SumReason = keyof typeof sumReasons;

/** These stay until a person resolves them, and count no money. */
const noticeReasons = {
  currency_mismatch: 'The currency is not that of the shop; the money is counted nowhere',
  event_changed: 'A known event came again and says something else; only its first delivery counts',
  disputed: 'The customer disputes the payment',
} as const;

export const reviewReasons = { ...sumReasons, ...noticeReasons } as const;
export type ReviewReason = keyof typeof reviewReasons;

/** The reasons that settle by themselves. Object.keys loses the type of a closed table. */
export const settlingReasons = Object.keys(sumReasons) as SumReason[];

/** An order that has expired is CANCELED like others; whose money it was tells them apart. */
export interface PaidOrder {
  status: OrderStatus;
  hasExpired: boolean;
  money: OrderMoney;
}

/** A row of the ledger. */
export interface PaymentEntry {
  kind: 'captured' | 'refunded';
  amountCents: number;
}

export interface MoneyDecision {
  outcome: 'processed' | 'ignored' | 'review';
  /** Why it is ignored, as a sentence, or the reason of the review; null when it is processed. */
  reason: string | null;
  review: ReviewReason | null;
  steps: OrderStatus[];
  entry: PaymentEntry | null;
  /** The sums after it. */
  money: OrderMoney;
  /** Exceptions that were open have nothing left to say. */
  settles: boolean;
}

export interface MoneyEvent {
  type: PaymentEventType;
  /** Undefined: a payment is the rest that is due, a refund all that is held. */
  amountCents: number | undefined;
}

export function decidePayment(
  order: PaidOrder,
  event: MoneyEvent,
  failedPayment: 'cancel' | 'keep' = 'cancel',
): MoneyDecision {
  const { type, amountCents } = event;
  if (type === 'payment.disputed') return notice(order, 'disputed');
  if (type === 'payment.failed') return decideFailure(order, failedPayment);
  return type === 'payment.succeeded'
    ? decideEntry(order, { kind: 'captured', amountCents: amountCents ?? restDue(order.money) })
    : decideEntry(order, { kind: 'refunded', amountCents: amountCents ?? allHeld(order.money) });
}

/** A person says that the order is paid, however the money came. */
export function decideByHand({ status, money: before }: PaidOrder): MoneyDecision {
  const money = { ...before, paidByHand: true };
  const steps: OrderStatus[] = heldCents(money) <= 0 ? ['PAID', 'CANCELED'] : ['PAID'];
  return conclude({ status, hasExpired: false, money: before }, { money, steps, entry: null, review: null });
}

/** A review that counts no money. */
export function notice({ money }: PaidOrder, review: keyof typeof noticeReasons): MoneyDecision {
  return { outcome: 'review', reason: review, review, steps: [], entry: null, money, settles: false };
}

export function ignore({ money }: PaidOrder, reason: string): MoneyDecision {
  return { outcome: 'ignored', reason, review: null, steps: [], entry: null, money, settles: false };
}

const tooLate: Record<Exclude<OrderStatus, 'PENDING'>, string> = {
  PAID: 'The order is paid already',
  SHIPPED: 'The order is shipped already',
  CANCELED: 'The order is canceled already',
};

function decideFailure(order: PaidOrder, failedPayment: 'cancel' | 'keep'): MoneyDecision {
  const { status, hasExpired, money } = order;
  if (hasExpired) return ignore(order, 'The order has expired already');
  if (status !== 'PENDING') return ignore(order, tooLate[status]);
  if (failedPayment === 'keep') return ignore(order, 'The order waits for another try of its payment');
  return conclude(order, { money, steps: ['CANCELED'], entry: null, review: null });
}

function decideEntry(order: PaidOrder, entry: PaymentEntry): MoneyDecision {
  const money = addEntry(order.money, entry);
  const facts: Facts = { held: heldCents(money), total: money.totalCents, hasExpired: order.hasExpired };
  const rule = rules[entry.kind][order.status](facts);
  return conclude(order, { money, entry, steps: rule.steps ?? [], review: rule.review ?? null });
}

interface Facts {
  /** R, after the event. */
  held: number;
  total: number;
  hasExpired: boolean;
}

interface Rule {
  steps?: OrderStatus[];
  review?: SumReason;
}

const late = ({ held, hasExpired }: Facts): Rule => {
  if (held === 0) return {};
  return { review: hasExpired ? 'order_expired' : 'order_canceled' };
};
const again = ({ held, total }: Facts): Rule => (held > total ? { review: 'already_paid' } : {});

const rules: Record<PaymentEntry['kind'], Record<OrderStatus, (facts: Facts) => Rule>> = {
  captured: {
    PENDING({ held, total }) {
      if (held === total) return { steps: ['PAID'] };
      if (held > total) return { steps: ['PAID'], review: 'overpaid' };
      // It was refunded before it came.
      return held > 0 ? { review: 'underpaid' } : { steps: ['PAID', 'CANCELED'] };
    },
    PAID: again,
    SHIPPED: again,
    CANCELED: late,
  },
  refunded: {
    PENDING: ({ held }) => (held >= 0 ? {} : { review: 'refund_before_payment' }),
    PAID({ held, total }) {
      if (held >= total) return {};
      if (held > 0) return { review: 'partial_refund' };
      return held === 0
        ? { steps: ['CANCELED'] }
        : { steps: ['CANCELED'], review: 'refund_exceeds_payments' };
    },
    SHIPPED: ({ held, total }) => (held >= total ? {} : { review: 'order_shipped' }),
    CANCELED: ({ held }) => (held >= 0 ? {} : { review: 'refund_exceeds_payments' }),
  },
};

/** What a payment without an amount is: the rest, or the whole total once there is no rest. */
function restDue({ totalCents, paidCents, refundedCents }: OrderMoney): number {
  const rest = totalCents - Math.max(0, paidCents - refundedCents);
  return rest > 0 ? rest : totalCents;
}

/** What a refund without an amount is: all that is held, or the whole total when nothing is. */
function allHeld(money: OrderMoney): number {
  const held = heldCents(money);
  return held > 0 ? held : money.totalCents;
}

function addEntry(money: OrderMoney, { kind, amountCents }: PaymentEntry): OrderMoney {
  return kind === 'captured'
    ? { ...money, paidCents: money.paidCents + amountCents }
    : { ...money, refundedCents: money.refundedCents + amountCents };
}

type Effects = Pick<MoneyDecision, 'money' | 'steps' | 'entry' | 'review'>;

/**
 * Holds the effects against the rule of the sums: exceptions are open exactly while the sums do not agree, so they settle
 * when they do, and one is opened where a rule saw nothing wrong but an accepted difference is no longer what it was.
 */
function conclude(before: PaidOrder, effects: Effects): MoneyDecision {
  const { status } = before;
  const to = effects.steps.at(-1) ?? status;
  const money = moneyAfter(before, to, effects.money);
  const agreed = isBalanced(status, before.money);
  const agrees = isBalanced(to, money);
  const isTold = agrees || !agreed || isRefundDue(to, money);
  const review = agrees ? null : (effects.review ?? (isTold ? null : reasonOf(to, money)));
  return {
    ...effects,
    outcome: review === null ? 'processed' : 'review',
    reason: review,
    review,
    money,
    settles: agrees && !agreed,
  };
}

function reasonOf(status: OrderStatus, money: OrderMoney): SumReason {
  const holdsMore = differenceCents(status, money) > 0;
  if (status === 'PENDING') return holdsMore ? 'underpaid' : 'refund_before_payment';
  if (status === 'CANCELED') return holdsMore ? 'order_canceled' : 'refund_exceeds_payments';
  if (holdsMore) return 'overpaid';
  return status === 'PAID' ? 'partial_refund' : 'order_shipped';
}

export function isPaymentEventType(type: string): type is PaymentEventType {
  return (paymentEventTypes as readonly string[]).includes(type);
}
