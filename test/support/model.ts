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
  /** What came and what went back, in cents, and whether staff has set it PAID. */
  came: number;
  went: number;
  byHand: boolean;
  /** Its time is up; while it is PENDING, whoever comes for it or for its stock makes it expire. */
  overdue: boolean;
}

export interface Model {
  products: ModelProduct[];
  orders: ModelOrder[];
  /** Outcome of the first delivery of each event, by its type and id, and of each changed copy. */
  events: Map<string, { orderId: number; outcome: string; event: Record<string, unknown> }>;
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

/** What the shop holds for an order. */
const heldFor = ({ came, went, byHand, cents }: ModelOrder): number =>
  Math.max(came, byHand ? cents : 0) - went;

/** Applies an event that was not seen before. @returns the answer's status and, after a payment, the order's state */
export function applyEvent(model: Model, order: ModelOrder, type: EventType, cents: number | undefined) {
  const { version } = order;
  if (isOverdue(order)) expire([order]);
  if (type === 'failed') {
    if (order.status !== 'PENDING') return { status: 'ignored' };
    takeStep(order, 'CANCELED');
    return { status: 'processed', new_status: 'CANCELED' };
  }
  const isReview = type === 'succeeded' ? takeMoney(order, cents) : giveMoneyBack(order, cents);
  // However much happens to it, one transaction raises its version once.
  order.version = version + 1;
  if (isReview) model.reviews += 1;
  return isReview ? { status: 'review' } : { status: 'processed', new_status: order.status };
}

/** @returns whether a person must look at it */
function takeMoney(order: ModelOrder, cents: number | undefined): boolean {
  const rest = order.cents - Math.max(0, order.came - order.went);
  order.came += cents ?? (rest > 0 ? rest : order.cents);
  const held = heldFor(order);
  if (order.status === 'CANCELED') return held !== 0;
  if (order.status !== 'PENDING') return held > order.cents;
  if (held > 0 && held < order.cents) return true;
  takeStep(order, 'PAID');
  if (held <= 0) takeStep(order, 'CANCELED');
  return held > order.cents;
}

function giveMoneyBack(order: ModelOrder, cents: number | undefined): boolean {
  const before = heldFor(order);
  order.went += cents ?? (before > 0 ? before : order.cents);
  const held = heldFor(order);
  if (order.status === 'SHIPPED') return held < order.cents;
  if (order.status !== 'PAID') return held < 0;
  if (held > 0) return held < order.cents;
  takeStep(order, 'CANCELED');
  return held < 0;
}

/** Moves an order as staff do: one that is paid by hand is canceled at once when as much went back before. */
export function moveByHand(model: Model, order: ModelOrder, to: Step): boolean {
  const before = heldFor(order);
  const allowed = takeStep(order, to);
  if (!allowed || to !== 'PAID') return allowed;
  order.byHand = true;
  const held = heldFor(order);
  if (held <= 0) {
    takeStep(order, 'CANCELED');
    // The second step of one transaction raises no version.
    order.version -= 1;
  } else if (held < order.cents && before === 0) model.reviews += 1;
  return allowed;
}

/** Holds every row that the model knows against the database. */
export async function expectAgreement(model: Model, { database }: TestService): Promise<void> {
  const [row] = await database.query<{ products: unknown; orders: unknown; reviews: number }>(
    `select
       (select coalesce(json_agg(json_build_array(id, on_hand, reserved, version) order by id), '[]')
          from products where id = any($1)) as products,
       (select coalesce(json_agg(json_build_array(id, status, total, version, refund_due, amount_paid, amount_refunded) order by id), '[]')
          from orders where id = any($2)) as orders,
       (select count(*)::int from payment_exceptions where order_id = any($2)) as reviews`,
    [model.products.map(({ id }) => id), model.orders.map(({ id }) => id)],
  );
  const products = model.products.map((p) => [p.id, p.onHand, p.reserved, p.version]);
  const orders = model.orders.map((o) => [
    o.id,
    o.status,
    o.cents / 100,
    o.version,
    o.status === 'CANCELED' && heldFor(o) > 0,
    o.came / 100,
    o.went / 100,
  ]);
  expect(row?.products).toEqual(products);
  expect(row?.orders).toEqual(orders);
  expect(row?.reviews).toBe(model.reviews);
}
