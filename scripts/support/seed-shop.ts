import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import type { SeedOrder, SeedProduct, SeedStep } from './seed-data.ts';
import {
  type Answer,
  expectStatus,
  type Order,
  type OrderStatus,
  type Product,
  type ServiceClient,
} from './service-client.ts';
import { signWebhook } from './sign-webhook.ts';

/*
 * Puts products and orders into a shop, once: a product is known by its SKU, an order by its customer and items. A run
 * that was broken off is finished by the next one, and changes that people have made since are kept.
 */

interface Seeded {
  change: 'new' | 'kept' | 'moved on';
}
export type SeededProduct = Product & Seeded;
export type SeededOrder = Order & Seeded;

export interface Shop {
  client: ServiceClient;
  webhookSecret: string;
  products: ReadonlyMap<string, Product>;
}

export async function seedProduct(client: ServiceClient, product: SeedProduct): Promise<SeededProduct> {
  const known = await client.call<Product[]>('GET', `/products?sku=${product.sku}`);
  const [existing] = expectStatus(known, 200).body;
  if (existing !== undefined) return { ...existing, change: 'kept' };
  // No Idempotency-Key: it would answer with a product that was made by an earlier run and deleted since.
  const created = await client.call<Product>('POST', '/products', { body: product });
  return { ...expectStatus(created, 201).body, change: 'new' };
}

export async function readProduct(client: ServiceClient, id: number): Promise<Product> {
  return expectStatus(await client.call<Product>('GET', `/products/${id}`), 200).body;
}

export async function seedOrder(shop: Shop, wanted: SeedOrder): Promise<SeededOrder> {
  const existing = await findSeeded(shop, wanted);
  const placed = existing ?? (await place(shop, wanted));
  const moved = await takeSteps(shop, placed, wanted.steps);
  if (existing === undefined) return { ...moved, change: 'new' };
  return { ...moved, change: moved.status === existing.status ? 'kept' : 'moved on' };
}

async function findSeeded({ client }: Shop, { customer, items }: SeedOrder): Promise<Order | undefined> {
  const query = new URLSearchParams({ customer_email: customer, sort: 'id' });
  const answer = await client.call<Order[]>('GET', `/orders?${query.toString()}`);
  return expectStatus(answer, 200).body.find((order) => {
    const ordered = Object.fromEntries(order.items.map(({ sku, quantity }) => [sku, quantity]));
    return isDeepStrictEqual(ordered, items);
  });
}

async function place({ client, products }: Shop, { customer, items }: SeedOrder): Promise<Order> {
  const body = {
    items: Object.entries(items).map(([sku, quantity]) => ({ product_id: products.get(sku)?.id, quantity })),
    customer_email: customer,
  };
  // For two seeds at the same moment; the look-up before serves for all later ones, when keys are forgotten.
  const digest = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const headers = { 'idempotency-key': `seed-${digest.slice(0, 32)}` };
  const answer = await client.call<Order>('POST', '/orders', { body, headers });
  return expectStatus(answer, 201).body;
}

/** Where a step leads, and the payment event that leads there; without one, it is done by staff. */
const ways: Record<SeedStep, { to: OrderStatus; eventType?: string }> = {
  pay: { to: 'PAID', eventType: 'payment.succeeded' },
  'mark-paid': { to: 'PAID' },
  ship: { to: 'SHIPPED' },
  cancel: { to: 'CANCELED' },
  fail: { to: 'CANCELED', eventType: 'payment.failed' },
  refund: { to: 'CANCELED', eventType: 'payment.refunded' },
};

/** Takes the steps that are left from the order's state; none, when another caller has moved it elsewhere. */
async function takeSteps(shop: Shop, placed: Order, steps: readonly SeedStep[]): Promise<Order> {
  const way = ['PENDING', ...steps.map((step) => ways[step].to)];
  const at = way.indexOf(placed.status);
  const left = at === -1 ? [] : steps.slice(at);
  for (const step of left) expectStatus(await takeStep(shop, placed, step), 200);
  return left.length === 0 ? placed : readOrder(shop.client, placed.id);
}

function takeStep({ client, webhookSecret }: Shop, order: Order, step: SeedStep): Promise<Answer> {
  const { to, eventType } = ways[step];
  if (eventType === undefined) {
    return client.call('PUT', `/orders/${order.id}`, { body: { status: to } });
  }
  const event = {
    event_type: eventType,
    event_id: `evt_seed_${order.id}_${step}`,
    order_id: order.id,
    amount: order.total,
    payment_method: 'card',
  };
  const webhook = signWebhook(event, webhookSecret);
  return client.call('POST', '/webhooks/payment', { ...webhook, withoutApiKey: true });
}

async function readOrder(client: ServiceClient, id: number): Promise<Order> {
  return expectStatus(await client.call<Order>('GET', `/orders/${id}`), 200).body;
}
