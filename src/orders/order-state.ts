/**
 * The life of an order as one table. The service, the documentation and the tests all read it; nothing else decides
 * which step is allowed or what it does to stock.
 */
export const orderStatuses = ['PENDING', 'PAID', 'SHIPPED', 'CANCELED'] as const;
export type OrderStatus = (typeof orderStatuses)[number];

export interface TransitionEffect {
  /** What the step does to the stock of every item; null when it moves nothing. */
  stock: 'released' | 'shipped' | null;
  event: 'order.paid' | 'order.shipped' | 'order.canceled';
  /** Money was taken and must go back. */
  refundDue: boolean;
}

/** Creation reserves; these are the steps after it. A pair that is missing is not allowed. */
const transitions: Record<OrderStatus, Partial<Record<OrderStatus, TransitionEffect>>> = {
  PENDING: {
    PAID: { stock: null, event: 'order.paid', refundDue: false },
    CANCELED: { stock: 'released', event: 'order.canceled', refundDue: false },
  },
  PAID: {
    SHIPPED: { stock: 'shipped', event: 'order.shipped', refundDue: false },
    CANCELED: { stock: 'released', event: 'order.canceled', refundDue: true },
  },
  SHIPPED: {},
  CANCELED: {},
};

export function transitionEffect(from: OrderStatus, to: OrderStatus): TransitionEffect | undefined {
  return transitions[from][to];
}

/** The states that an order in this state may go to. */
export function allowedTransitions(from: OrderStatus): OrderStatus[] {
  return orderStatuses.filter((to) => transitions[from][to] !== undefined);
}

/** The table as a sentence for people, shown in the documentation. */
export function describeTransitions(): string {
  return orderStatuses
    .map((from) => `${from} → ${allowedTransitions(from).join(' or ') || 'nothing more'}`)
    .join('; ');
}
