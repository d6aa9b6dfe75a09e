import fc from 'fast-check';
import { expect } from 'vitest';

import { letTimePass, sweep } from './expiry.ts';
import {
  type EventType,
  expectAgreement,
  expire,
  isOverdue,
  type Model,
  type ModelOrder,
  type ModelProduct,
  releaseFor,
  moveByHand,
  type Step,
  stockOf,
} from './model.ts';
import { deliver, type Delivery, expectKnown, type Real } from './model-deliveries.ts';
import type { Answer } from './service.ts';

/** A command as fast-check wants it: told by its name, and held against the database after every run of it. */
class Command implements fc.AsyncCommand<Model, Real> {
  readonly #name: string;
  readonly #needs: 'nothing' | 'products' | 'orders';
  readonly #work: (model: Model, real: Real) => Promise<void>;

  constructor(
    name: string,
    needs: 'nothing' | 'products' | 'orders',
    work: (model: Model, real: Real) => Promise<void>,
  ) {
    this.#name = name;
    this.#needs = needs;
    this.#work = work;
  }

  check(model: Readonly<Model>): boolean {
    return this.#needs === 'nothing' || model[this.#needs].length > 0;
  }

  async run(model: Model, real: Real): Promise<void> {
    await this.#work(model, real);
    await expectAgreement(model, real.service);
  }

  toString(): string {
    return this.#name;
  }
}

/** Picks by number, whatever there is by then. */
function pick<T>(list: readonly T[], index: number): T {
  const picked = list[index % list.length];
  if (picked === undefined) throw new Error('nothing to pick from');
  return picked;
}

export async function createProduct(model: Model, { service, run }: Real, cents: number, stock: number) {
  const sku = `RUN-${run}-${model.products.length}`;
  const { id } = await service.createProduct({ sku, price: cents / 100, stock });
  model.products.push({ id, cents, onHand: stock, reserved: 0, version: 1 });
}

async function setStock(product: ModelProduct, { service }: Real, stock: number): Promise<void> {
  const { status, body } = await service.call('PATCH', `/products/${product.id}`, { stock });
  if (stockOf(product) !== stock) product.version += 1;
  product.onHand = product.reserved + stock;
  expect([status, body.stock, body.version]).toEqual([200, stock, product.version]);
}

async function adjustStock(product: ModelProduct, { service }: Real, delta: number): Promise<void> {
  const body = { delta, reason: 'counted' };
  const answer = await service.call('POST', `/products/${product.id}/stock-adjustments`, body);
  if (delta === 0 || stockOf(product) + delta < 0) {
    expect(answer.status).toBe(delta === 0 ? 422 : 409);
    return;
  }
  product.onHand += delta;
  product.version += 1;
  expect([answer.status, answer.body.stock, answer.body.version]).toEqual([
    201,
    stockOf(product),
    product.version,
  ]);
}

type Items = ModelOrder['items'];

async function placeOrder(model: Model, { service, run }: Real, items: Items, key: number | undefined) {
  const body = { items: items.map(({ product, quantity }) => ({ product_id: product.id, quantity })) };
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': `run-${run}-${key}` };
  const answer = await service.call('POST', '/orders', body, headers);
  const asked = JSON.stringify(body);
  const known = key === undefined ? undefined : model.keys.get(key);
  if (new Set(items.map(({ product }) => product.id)).size < items.length) {
    expect(answer.status).toBe(422);
  } else if (known !== undefined && known.command !== asked) {
    expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_key_reused']);
  } else if (known !== undefined) {
    expect([answer.status, answer.text]).toEqual([201, known.text]);
    expect(answer.headers['idempotency-replayed']).toBe('true');
  } else {
    const released = releaseFor(model, items);
    if (items.some(({ product, quantity }) => quantity > stockOf(product)))
      return expectShortages(items, answer);
    acceptOrder(model, items, answer);
    // Released and sold by one transaction.
    for (const { product } of items) if (released.has(product)) product.version -= 1;
    if (key !== undefined) model.keys.set(key, { command: asked, text: answer.text });
  }
}

function expectShortages(items: Items, { status, body }: Answer): void {
  const shortages = items
    .map(({ product, quantity }) => ({
      product_id: product.id,
      available: stockOf(product),
      requested: quantity,
    }))
    .filter(({ available, requested }) => requested > available);
  expect([status, body.code, body.shortages]).toEqual([409, 'insufficient_stock', shortages]);
}

function acceptOrder(model: Model, items: Items, { status, body, headers }: Answer): void {
  const cents = items.reduce((sum, { product, quantity }) => sum + product.cents * quantity, 0);
  expect([status, body.status, body.total, body.version]).toEqual([201, 'PENDING', cents / 100, 1]);
  expect(headers).not.toHaveProperty('idempotency-replayed');
  for (const { product, quantity } of items) {
    product.reserved += quantity;
    product.version += 1;
  }
  const order = { id: body.id, status: 'PENDING', items, cents, version: 1 } as const;
  model.orders.push({ ...order, came: 0, went: 0, byHand: false, overdue: false });
}

async function changeStatus(
  model: Model,
  order: ModelOrder,
  { service }: Real,
  { to, byDelete }: { to: Step; byDelete: boolean },
) {
  const url = `/orders/${order.id}`;
  const answer = await (byDelete ? service.call('DELETE', url) : service.call('PUT', url, { status: to }));
  if (isOverdue(order)) expire([order]);
  const detail = `Invalid status transition from ${order.status} to ${to}`;
  if (moveByHand(model, order, to)) {
    expect(answer.status).toBe(byDelete ? 204 : 200);
    if (!byDelete) expect(answer.body.status).toBe(order.status);
  } else {
    expect([answer.status, answer.body.detail]).toEqual([400, detail]);
  }
}

async function passTime(order: ModelOrder, { service }: Real): Promise<void> {
  if (order.status !== 'PENDING') return;
  await letTimePass(service, [order.id]);
  order.overdue = true;
}

async function sweepAll(model: Model, { service }: Real): Promise<void> {
  const overdue = model.orders.filter(isOverdue);
  expire(overdue);
  expect(await sweep(service)).toBe(overdue.length);
}

async function repeatEvent(model: Model, { service }: Real, index: number): Promise<void> {
  if (model.events.size === 0) return;
  const known = pick([...model.events.values()], index);
  expectKnown(known, await service.pay(known.event));
}

async function askForWhatIsNotThere(_model: Model, { service }: Real): Promise<void> {
  const event = { event_type: 'payment.succeeded', order_id: 999_999_999 };
  const order = { product_id: 999_999_999, quantity: 1 };
  expect((await service.pay(event)).status).toBe(404);
  expect((await service.call('DELETE', '/orders/999999999')).status).toBe(404);
  expect((await service.call('POST', '/orders', order)).status).toBe(404);
}

const indexes = fc.nat(1000);
const quantities = fc.integer({ min: 1, max: 5 });
const keys = fc.option(fc.nat(4), { nil: undefined });

const creates = fc
  .tuple(fc.integer({ min: 1, max: 5000 }), fc.nat(20))
  .map(
    ([cents, stock]) =>
      new Command(`create at ${cents} cents, stock ${stock}`, 'nothing', (model, real) =>
        createProduct(model, real, cents, stock),
      ),
  );

const stockEdits = fc
  .tuple(indexes, fc.nat(20))
  .map(
    ([index, stock]) =>
      new Command(`set stock of product ${index} to ${stock}`, 'products', (model, real) =>
        setStock(pick(model.products, index), real, stock),
      ),
  );

const adjustments = fc
  .tuple(indexes, fc.integer({ min: -8, max: 8 }))
  .map(
    ([index, delta]) =>
      new Command(`adjust the stock of product ${index} by ${delta}`, 'products', (model, real) =>
        adjustStock(pick(model.products, index), real, delta),
      ),
  );

/** One to three items; the same product twice is one of the cases. */
const orders = fc.tuple(fc.array(fc.tuple(indexes, quantities), { minLength: 1, maxLength: 3 }), keys).map(
  ([basket, key]) =>
    new Command(`order ${JSON.stringify(basket)} with key ${key}`, 'products', (model, real) => {
      const items = basket.map(([index, quantity]) => ({ product: pick(model.products, index), quantity }));
      return placeOrder(model, real, items, key);
    }),
);

const steps = fc.tuple(indexes, fc.constantFrom<Step>('PAID', 'SHIPPED', 'CANCELED'), fc.boolean()).map(
  ([index, to, byDelete]) =>
    new Command(`move order ${index} to ${to}${byDelete ? ' (DELETE)' : ''}`, 'orders', (model, real) =>
      changeStatus(model, pick(model.orders, index), real, {
        to,
        byDelete: byDelete && to === 'CANCELED',
      }),
    ),
);

const passings = indexes.map(
  (index) =>
    new Command(`let the time of order ${index} pass`, 'orders', (model, real) =>
      passTime(pick(model.orders, index), real),
    ),
);

const sweeps = fc.constant(new Command('sweep', 'nothing', sweepAll));

const deliveries = fc
  .record({
    index: indexes,
    type: fc.constantFrom<EventType>('succeeded', 'failed', 'refunded'),
    amount: fc.constantFrom<Delivery['amount']>('whole', 'whole', 'none', 'wrong'),
    eventId: fc.nat(100),
  })
  .map(
    ({ index, ...delivery }) =>
      new Command(`event for order ${index}: ${JSON.stringify(delivery)}`, 'orders', (model, real) =>
        deliver(model, real, pick(model.orders, index), delivery),
      ),
  );

const repeats = indexes.map(
  (index) => new Command(`repeat event ${index}`, 'orders', (model, real) => repeatEvent(model, real, index)),
);

const strangers = fc.constant(new Command('ask for what is not there', 'nothing', askForWhatIsNotThere));

/** Orders and events weigh more, because there is more to them. */
export const commands = [
  { arbitrary: orders, weight: 3 },
  { arbitrary: deliveries, weight: 3 },
  { arbitrary: steps, weight: 2 },
  { arbitrary: passings, weight: 2 },
  { arbitrary: creates, weight: 1 },
  { arbitrary: stockEdits, weight: 1 },
  { arbitrary: adjustments, weight: 1 },
  { arbitrary: repeats, weight: 1 },
  { arbitrary: sweeps, weight: 1 },
  { arbitrary: strangers, weight: 1 },
].flatMap(({ arbitrary, weight }) => Array<typeof arbitrary>(weight).fill(arbitrary));
