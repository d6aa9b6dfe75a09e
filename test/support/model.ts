import { expect } from 'vitest';

import type { TestService } from './service.ts';

/*
 * What the service promises, in a few lines of memory: no database, no locks, no SQL. It is written from the
 * documentation and shares nothing with src/, so that a wrong rule there is not wrong here too.
 */

export interface ModelProduct {
  id: number;
  cents: number;
  onHand: number;
  reserved: number;
  version: number;
}

export interface ModelOrder {
  id: number;
  status: 'PENDING' | 'PAID' | 'SHIPPED' | 'CANCELED';
  items: { product: ModelProduct; quantity: number }[];
  cents: number;
  version: number;
  refundDue: boolean;
  /** A refund of the whole total came before the payment. */
  refundKept: boolean;
  /** Its time is up; while it is PENDING, whoever comes for it or for its stock makes it expire. */
  overdue: boolean;
}

export interface Model {
  products: ModelProduct[];
  orders: ModelOrder[];
  /** Outcome of the first delivery of each event. */
  events: Map<number, { orderId: number; outcome: string; event: Record<string, unknown> }>;
  /** Command and answer of each Idempotency-Key that was accepted. */
  keys: Map<number, { command: string; text: string }>;
  reviews: number;
}

export function emptyModel(): Model {
  return { products: [], orders: [], events: new Map(), keys: new Map(), reviews: 0 };
}

export const stockOf = ({ onHand, reserved }: ModelProduct): number => onHand - reserved;

export type Step = 'PAID' | 'SHIPPED' | 'CANCELED';

/** Whether the step is allowed; if it is, it is taken. */
export function takeStep(order: ModelOrder, to: Step): boolean {
  const legal = { PENDING: ['PAID', 'CANCELED'], PAID: ['SHIPPED', 'CANCELED'], SHIPPED: [], CANCELED: [] };
  if (!(legal[order.status] as string[]).includes(to)) return false;
  order.refundDue = order.status === 'PAID' && to === 'CANCELED';
  order.status = to;
  order.version += 1;
  if (to !== 'PAID') for (const item of order.items) giveBack(item, to);
  return true;
}

function giveBack({ product, quantity }: ModelOrder['items'][number], to: Step): void {
  product.reserved -= quantity;
  if (to === 'SHIPPED') product.onHand -= quantity;
  product.version += 1;
}

export const isOverdue = ({ status, overdue }: ModelOrder): boolean => status === 'PENDING' && overdue;

/**
 * One transaction cancels orders and gives back what they hold; it raises the version of each product once.
 * @returns those products
 */
export function expire(orders: readonly ModelOrder[]): Set<ModelProduct> {
  const items = orders.flatMap((order) => order.items);
  const products = new Set(items.map((item) => item.product));
  for (const { product, quantity } of items) product.reserved -= quantity;
  for (const product of products) product.version += 1;
  for (const order of orders) {
    order.status = 'CANCELED';
    order.version += 1;
  }
  return products;
}

/** An order finds too little: what is overdue and holds some of it expires, and all that it holds is given back. */
export function releaseFor(model: Model, items: ModelOrder['items']): Set<ModelProduct> {
  const short = new Set(
    items.filter((item) => item.quantity > stockOf(item.product)).map((item) => item.product),
  );
  return expire(
    model.orders.filter((order) => isOverdue(order) && order.items.some(({ product }) => short.has(product))),
  );
}

export type EventType = 'succeeded' | 'failed' | 'refunded';

/** Applies an event that was not seen before. @returns the answer's status and, after a payment, the order's state */
export function applyEvent(model: Model, order: ModelOrder, type: EventType, cents: number | undefined) {
  if (isOverdue(order)) expire([order]);
  const whole = cents === undefined || cents === order.cents;
  const review = () => {
    model.reviews += 1;
    return { status: 'review' };
  };
  if (type === 'failed') {
    if (order.status !== 'PENDING') return { status: 'ignored' };
    takeStep(order, 'CANCELED');
    return { status: 'processed', new_status: 'CANCELED' };
  }
  if (type === 'succeeded') {
    if (order.status !== 'PENDING' || !whole) return review();
    takeStep(order, 'PAID');
    if (order.refundKept) cancelByKeptRefund(order);
    return { status: 'processed', new_status: order.status };
  }
  if (order.status === 'PENDING' && whole) order.refundKept = true;
  if (order.status !== 'PAID' || !whole) return review();
  takeStep(order, 'CANCELED');
  // The money is back already.
  order.refundDue = false;
  return { status: 'processed', new_status: 'CANCELED' };
}

/** Moves an order as staff do: one that is paid by hand takes the refund that was kept for it, too. */
export function moveByHand(order: ModelOrder, to: Step): boolean {
  const allowed = takeStep(order, to);
  if (allowed && to === 'PAID' && order.refundKept) cancelByKeptRefund(order);
  return allowed;
}

/** The second step of one transaction: it raises no version, and the money is back already. */
function cancelByKeptRefund(order: ModelOrder): void {
  takeStep(order, 'CANCELED');
  order.version -= 1;
  order.refundDue = false;
}

/** Holds every row that the model knows against the database. */
export async function expectAgreement(model: Model, { database }: TestService): Promise<void> {
  const [row] = await database.query<{ products: unknown; orders: unknown; reviews: number }>(
    `select
       (select coalesce(json_agg(json_build_array(id, on_hand, reserved, version) order by id), '[]')
          from products where id = any($1)) as products,
       (select coalesce(json_agg(json_build_array(id, status, total, version, refund_due) order by id), '[]')
          from orders where id = any($2)) as orders,
       (select count(*)::int from payment_exceptions where order_id = any($2)) as reviews`,
    [model.products.map(({ id }) => id), model.orders.map(({ id }) => id)],
  );
  const products = model.products.map((p) => [p.id, p.onHand, p.reserved, p.version]);
  const orders = model.orders.map((o) => [o.id, o.status, o.cents / 100, o.version, o.refundDue]);
  expect(row?.products).toEqual(products);
  expect(row?.orders).toEqual(orders);
  expect(row?.reviews).toBe(model.reviews);
}
