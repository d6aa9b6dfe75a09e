import { Counter, Gauge, type Registry } from 'prom-client';

export type OrderMetrics = ReturnType<typeof createOrderMetrics>;

export function createOrderMetrics(registers: Registry[]) {
  return {
    ordersPlaced: new Counter({ name: 'orders_placed_total', help: 'Orders placed', registers }),
    ordersRefused: new Counter({
      name: 'orders_refused_total',
      help: 'Orders refused, by the code of the refusal',
      labelNames: ['code'] as const,
      registers,
    }),
    orderTransitions: new Counter({
      name: 'order_transitions_total',
      help: 'Orders moved to another state, by hand or by a payment event',
      labelNames: ['to'] as const,
      registers,
    }),
    ordersExpired: new Counter({
      name: 'orders_expired_total',
      help: 'Orders that were not paid in time, by cause: the sweep, an order that needs their stock, a late payment or a request',
      labelNames: ['by'] as const,
      registers,
    }),
    ordersOverdue: new Gauge({
      name: 'orders_overdue_seconds',
      help: 'For how long the longest overdue order had waited when the sweep last looked',
      registers,
    }),
  };
}
