/**
 * The life of an order as one table. The service, the documentation and the tests all read it; nothing else decides
 * which step is allowed or what it does to stock.
 */
export const orderStatuses = ['PENDING', 'PAID', 'SHIPPED', 'CANCELED'] as const;
export type OrderStatus = (typeof orderStatuses)[number];

/** A command is named by the state that it asks for; `expire` is what the passing of time asks for, and no caller. */
export const orderCommands = [...orderStatuses, 'expire'] as const;
export type OrderCommand = (typeof orderCommands)[number];

export interface TransitionEffect {
  to: OrderStatus;
  /** What the step does to the stock of every item; null when it moves nothing. */
  stock: 'released' | 'shipped' | null;
  event: 'order.paid' | 'order.shipped' | 'order.canceled' | 'order.expired';
  /** What the ledger gives as the reason; null where the order itself says all there is to say. */
  reason: 'expired' | null;
}

const paid: TransitionEffect = {
  to: 'PAID',
  stock: null,
  event: 'order.paid',
  reason: null,
};
const shipped: TransitionEffect = { ...paid, to: 'SHIPPED', stock: 'shipped', event: 'order.shipped' };
const canceled: TransitionEffect = { ...paid, to: 'CANCELED', stock: 'released', event: 'order.canceled' };

/** Creation reserves; these are the steps after it. A pair that is missing is not allowed. */
const transitions: Record<OrderStatus, Partial<Record<OrderCommand, TransitionEffect>>> = {
  PENDING: {
    PAID: paid,
    CANCELED: canceled,
    expire: { ...canceled, event: 'order.expired', reason: 'expired' },
  },
  PAID: { SHIPPED: shipped, CANCELED: canceled },
  SHIPPED: {},
  CANCELED: {},
};

export function transitionEffect(from: OrderStatus, command: OrderCommand): TransitionEffect | undefined {
  return transitions[from][command];
}

/** The states that a caller may move an order in this state to. */
export function allowedTransitions(from: OrderStatus): OrderStatus[] {
  return orderStatuses.filter((to) => transitions[from][to] !== undefined);
}

/** The table as a sentence for people, shown in the documentation. */
export function describeTransitions(): string {
  return orderStatuses
    .map((from) => {
      const expiry = transitions[from].expire;
      const byTime = expiry === undefined ? '' : `, and ${expiry.to} by itself at expires_at`;
      return `${from} → ${allowedTransitions(from).join(' or ') || 'nothing more'}${byTime}`;
    })
    .join('; ');
}

/** When an order expires that is placed now, with 0 minutes for never; both are times of the database. */
export function expiryTime(now: string, ttlMinutes: number): string | null {
  return ttlMinutes === 0 ? null : new Date(Date.parse(now) + ttlMinutes * 60_000).toISOString();
}
