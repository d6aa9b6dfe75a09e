import { stockEvents } from './inventory/stock.events.ts';
import { orderEvents } from './orders/order.events.ts';
import { endpointEvents } from './outbound/endpoint.events.ts';
import { paymentEvents } from './payments/payment.events.ts';
import { productEvents } from './products/product.events.ts';

/** Every type of event that the service writes. The table in docs/architecture.md says which commands write it. */
export const eventTypes = [
  ...productEvents,
  ...stockEvents,
  ...orderEvents,
  ...paymentEvents,
  ...endpointEvents,
] as const;
