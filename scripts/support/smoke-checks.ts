import { isDeepStrictEqual } from 'node:util';

import {
  type Answer,
  type CallOptions,
  expectStatus,
  nextPath,
  type Order,
  type Product,
  type ServiceClient,
  UnexpectedAnswer,
} from './service-client.ts';
import { signWebhook } from './sign-webhook.ts';
import type { StepResult } from './smoke-steps.ts';

/*
 * The calls of each step of the smoke test, with the answers it accepts. Every check throws UnexpectedAnswer, which shows
 * the request and its answer.
 */

const PRICE = 29.99;
const STOCK = 100;
const QUANTITY = 30;
const TOTAL = 899.7;
const LEFT = STOCK - QUANTITY;
/** The largest id there can be, and so one that no database has come to. */
const UNKNOWN_ID = Number.MAX_SAFE_INTEGER;

type Check<T> = Promise<StepResult<T>>;

export async function checkHealth(client: ServiceClient): Check<void> {
  const answer = expectStatus(await client.call('GET', '/health'), 200);
  expectBody(answer, { status: 'healthy', service: 'orders-inventory' });
  return { note: 'orders-inventory is healthy', value: undefined };
}

export async function createProduct(client: ServiceClient, sku: string): Check<Product> {
  const body = { sku, name: 'Smoke test product', price: PRICE, stock: STOCK };
  const answer = expectStatus(await client.call<Product>('POST', '/products', { body }), 201);
  const product = answer.body;
  expectFields(answer, { sku, price: PRICE, stock: STOCK, reserved: 0 });
  expectThat(answer, Number.isInteger(product.id), 'an id');
  const location = answer.headers.get('location') ?? '';
  expectThat(answer, location.endsWith(`/products/${product.id}`), 'a Location header');
  return { note: `product ${product.id}, ${STOCK} pieces at ${PRICE}`, value: product };
}

export async function getProduct(client: ServiceClient, { id, sku }: Product): Check<void> {
  const answer = expectStatus(await client.call('GET', `/products/${id}`), 200);
  expectFields(answer, { id, sku, price: PRICE, stock: STOCK });
  return { note: sku, value: undefined };
}

export async function placeOrder(client: ServiceClient, { id }: Product): Check<Order> {
  const body = { product_id: id, quantity: QUANTITY };
  const answer = expectStatus(await client.call<Order>('POST', '/orders', { body }), 201);
  expectFields(answer, { status: 'PENDING', total: TOTAL, product_id: id, quantity: QUANTITY });
  return { note: `order ${answer.body.id}, ${QUANTITY} pieces for ${TOTAL}`, value: answer.body };
}

export async function checkStock(client: ServiceClient, { id }: Product): Check<void> {
  const answer = expectStatus(await client.call('GET', `/products/${id}`), 200);
  expectFields(answer, { stock: LEFT, reserved: QUANTITY });
  return { note: `${STOCK} → ${LEFT}, ${QUANTITY} reserved`, value: undefined };
}

export async function payOrder(client: ServiceClient, { id }: Order, secret: string): Check<void> {
  const event = { event_type: 'payment.succeeded', event_id: `evt_smoke_${id}`, order_id: id, amount: TOTAL };
  const deliver = async () =>
    client.call('POST', '/webhooks/payment', { ...signWebhook(event, secret), withoutApiKey: true });
  const first = await deliver();
  expectThat(first, first.status !== 403, 'WEBHOOK_SECRET to be the one that the service has');
  expectStatus(first, 200);
  expectBody(first, { status: 'processed', order_id: id, new_status: 'PAID' });
  expectFields(expectStatus(await deliver(), 200), { status: 'already_processed', order_id: id });
  return { note: 'processed; repeated: already_processed', value: undefined };
}

export async function checkPaid(client: ServiceClient, { id }: Order): Check<void> {
  const answer = expectStatus(await client.call('GET', `/orders/${id}`), 200);
  expectFields(answer, { id, status: 'PAID', total: TOTAL });
  const history = expectStatus(await client.call<{ to: string }[]>('GET', `/orders/${id}/history`), 200);
  expectThat(history, history.body.map(({ to }) => to).join() === 'PENDING,PAID', 'the steps PENDING, PAID');
  return { note: 'PENDING, then PAID', value: undefined };
}

/** The stock on hand was received, this order reserves a part, and the stored counters agree. */
export async function checkLedger(client: ServiceClient, { id }: Product, order: Order): Check<void> {
  const answer = expectStatus(await client.call('GET', `/products/${id}/stock/explain`), 200);
  expectFields(answer, {
    on_hand: { total: STOCK, received: STOCK, adjusted: 0, shipped: 0 },
    reserved: {
      total: QUANTITY,
      orders: [{ order_id: order.id, quantity: QUANTITY }],
      other_orders: { count: 0, quantity: 0 },
    },
    matches: true,
  });
  return { note: `${STOCK} received, ${QUANTITY} held by order ${order.id}`, value: undefined };
}

interface Refusal extends CallOptions {
  method: string;
  path: string;
  status: number;
  /** The exact text; only its beginning when it ends with an ellipsis. */
  detail: string;
}

export async function checkErrors(
  client: ServiceClient,
  { product, order, webhookSecret }: { product: Product; order: Order; webhookSecret: string },
): Check<void> {
  const refusals = [...refusedOrders(product, order), ...refusedWebhooks(order, webhookSecret)];
  for (const { method, path, status, detail, ...options } of refusals) {
    const answer = expectStatus(await client.call<{ detail?: string }>(method, path, options), status);
    const type = answer.headers.get('content-type') ?? '';
    expectThat(answer, type.startsWith('application/problem+json'), 'a problem document');
    const told = answer.body.detail ?? '';
    const matches = detail.endsWith('…') ? told.startsWith(detail.slice(0, -1)) : told === detail;
    expectThat(answer, matches, `the detail "${detail}"`);
  }
  return { note: refusals.map(({ status }) => status).join(' '), value: undefined };
}

function refusedOrders(product: Product, order: Order): Refusal[] {
  const shortOfStock = { product_id: product.id, quantity: 200 };
  const shortage = `Insufficient stock. Available: ${LEFT}, Requested: 200`;
  const notAnInteger = { product_id: product.id, quantity: '5' };
  const backwards = { status: 'PENDING' };
  const transition = 'Invalid status transition from PAID to PENDING';
  return [
    { method: 'GET', path: `/products/${UNKNOWN_ID}`, status: 404, detail: 'Product not found' },
    { method: 'POST', path: '/orders', body: shortOfStock, status: 409, detail: shortage },
    { method: 'POST', path: '/orders', body: notAnInteger, status: 422, detail: 'body/quantity …' },
    { method: 'PUT', path: `/orders/${order.id}`, body: backwards, status: 400, detail: transition },
  ];
}

function refusedWebhooks({ id }: Order, secret: string): Refusal[] {
  const event = { event_type: 'payment.failed', event_id: `evt_smoke_${id}_forged`, order_id: id };
  const { body, headers } = signWebhook(event, `${secret} of somebody else`);
  const request = { method: 'POST', path: '/webhooks/payment', body, withoutApiKey: true };
  return [
    { ...request, status: 401, detail: 'Missing webhook signature' },
    { ...request, headers, status: 403, detail: 'Invalid webhook signature' },
  ];
}

/** Both lists, a page of one at a time, over two rows of this run. */
export async function checkLists(
  client: ServiceClient,
  { product, order }: { product: Product; order: Order },
): Check<void> {
  const second = { sku: `${product.sku}-2`, name: 'Smoke test product', price: PRICE, stock: 0 };
  const spare = expectStatus(await client.call<Product>('POST', '/products', { body: second }), 201).body;
  await expectPages(client, `/products?q=${product.sku}&limit=1`, [product.id, spare.id]);
  expectStatus(await client.call('DELETE', `/products/${spare.id}`), 204);

  const body = { product_id: product.id, quantity: 1 };
  const later = expectStatus(await client.call<Order>('POST', '/orders', { body }), 201).body;
  await expectPages(client, `/orders?product_id=${product.id}&limit=1`, [later.id, order.id]);
  expectStatus(await client.call('DELETE', `/orders/${later.id}`), 204);
  return { note: 'products and orders, page by page', value: undefined };
}

/** Follows the Link headers to the end: exactly these rows, one to a page. */
async function expectPages(client: ServiceClient, first: string, ids: readonly number[]): Promise<void> {
  let path: string | undefined = first;
  for (const [index, id] of ids.entries()) {
    const page: Answer<{ id: number }[]> = expectStatus(await client.call('GET', path ?? ''), 200);
    expectThat(page, page.body.length === 1 && page.body[0]?.id === id, `one row, with the id ${id}`);
    path = nextPath(client, page);
    const isLast = index === ids.length - 1;
    expectThat(page, isLast === (path === undefined), isLast ? 'no next page' : 'a Link to the next page');
  }
}

/** Leaves the shop as it was to its customers, also after a failure. */
export async function deactivateProducts(client: ServiceClient, sku: string): Promise<void> {
  const { body } = await client.call<Product[]>('GET', `/products?q=${sku}&active=true`);
  if (!Array.isArray(body)) return;
  for (const { id } of body) await client.call('PATCH', `/products/${id}`, { body: { active: false } });
}

function expectThat(answer: Answer, holds: boolean, expectation: string): void {
  if (!holds) throw new UnexpectedAnswer(`expected ${expectation}`, answer);
}

function expectBody(answer: Answer, body: unknown): void {
  expectThat(answer, isDeepStrictEqual(answer.body, body), `exactly ${JSON.stringify(body)}`);
}

function expectFields(answer: Answer, fields: Record<string, unknown>): void {
  const given = (answer.body ?? {}) as Record<string, unknown>;
  for (const [name, value] of Object.entries(fields)) {
    expectThat(answer, isDeepStrictEqual(given[name], value), `${name} to be ${JSON.stringify(value)}`);
  }
}
