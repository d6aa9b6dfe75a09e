import { randomBytes } from 'node:crypto';

import type { Answer, Order, OrderStatus } from '../support/service-client.ts';
import { signWebhook } from '../support/sign-webhook.ts';
import { type DrillProduct, emailOf } from './books.ts';
import type { CrashSite } from './crash-site.ts';
import { paymentEvent } from './double-webhook.ts';
import { WEBHOOK_SECRET } from './ground.ts';
import { callUntilAnswered, type Settled } from './persistent-call.ts';

/** An answer that a buyer got about an order, and relies on. */
export interface Acknowledged {
  id: number;
  status: OrderStatus;
  /** Raised once by every step. */
  version: number;
}

/** Of so many orders one is paid by webhook, and one canceled. */
const STEP_EVERY = 4;

/** Buyers that never stop: they order, some pay or cancel, and they retry through every fault of the service. */
export class CrashBuyers {
  /** By Idempotency-Key. */
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Calls without an answer within their deadline, by their keys. */
  readonly unsettled = new Map<string, number>();
  /** Answers that no client should ever get. */
  readonly odd: string[] = [];
  /** Answers to calls that began after that moment. */
  answeredSince = 0;
  retries = 0;
  #since = 0;
  #stopped = false;
  #isOver = false;
  readonly #site: CrashSite;
  readonly #products: readonly DrillProduct[];
  readonly #run = randomBytes(4).toString('hex');

  constructor(site: CrashSite, products: readonly DrillProduct[]) {
    this.#site = site;
    this.#products = products;
  }

  /** Resolves when `stop` was called and every buyer has the answer to the last call. */
  async buy(clients: number): Promise<void> {
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let n = 0; !this.#stopped; n += 1) await this.#orderAndSettle(`${this.#run}-${client}-${n}`, n);
      }),
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  /** All answers have come. */
  giveUp(): void {
    this.#stopped = true;
    this.#isOver = true;
  }

  /** Begins to count `answeredSince` anew. */
  countFromNow(): void {
    this.#since = performance.now();
    this.answeredSince = 0;
  }

  /** Sends the calls without an answer once more. */
  async settle(): Promise<void> {
    for (const [key, n] of this.unsettled) {
      const settled = await this.#persist(() => this.#place(key, n));
      if (settled === undefined) return;
      this.unsettled.delete(key);
      this.#acknowledge(key, settled.answer);
    }
  }

  async #orderAndSettle(key: string, n: number): Promise<void> {
    const settled = await this.#persist(() => this.#place(key, n));
    if (settled === undefined) {
      this.unsettled.set(key, n);
      return;
    }
    const order = this.#acknowledge(key, settled.answer);
    if (order === undefined) return;
    if (n % STEP_EVERY === 0) await this.#pay(order, settled.answer.body.total);
    if (n % STEP_EVERY === 1) await this.#cancel(order);
  }

  #place(key: string, n: number): Promise<Answer<Order>> {
    // Every other basket holds two products, in either order.
    const [one, other] = [this.#product(n), this.#product(n + 1)];
    const products = n % 2 === 0 ? [one] : [other, one];
    const items = products.map(({ id }) => ({ product_id: id, quantity: 1 }));
    return this.#site.client.call('POST', '/orders', {
      body: { items, customer_email: emailOf(key) },
      headers: { 'idempotency-key': key },
    });
  }

  #product(n: number): DrillProduct {
    return this.#products[n % this.#products.length] as DrillProduct;
  }

  #acknowledge(key: string, { status, text, body }: Answer<Order>): Acknowledged | undefined {
    if (status !== 201) {
      this.odd.push(`${status} for an order: ${text}`);
      return undefined;
    }
    const order: Acknowledged = { id: body.id, status: 'PENDING', version: 1 };
    this.acknowledged.set(key, order);
    return order;
  }

  async #pay(order: Acknowledged, total: number): Promise<void> {
    const webhook = signWebhook(paymentEvent('payment.succeeded', order.id, total), WEBHOOK_SECRET);
    const settled = await this.#persist<{ status?: string }>(() =>
      this.#site.client.call('POST', '/webhooks/payment', { ...webhook, withoutApiKey: true }),
    );
    const outcome = settled?.answer.body?.status;
    this.#move(
      order,
      'PAID',
      settled,
      outcome === 'processed' || (wasRepeated(settled) && outcome === 'already_processed'),
    );
  }

  async #cancel(order: Acknowledged): Promise<void> {
    const settled = await this.#persist(() => this.#site.client.call('DELETE', `/orders/${order.id}`));
    const status = settled?.answer.status;
    // A caller that retries after a lost answer may be told that the order is already canceled.
    this.#move(order, 'CANCELED', settled, status === 204 || (wasRepeated(settled) && status === 400));
  }

  #move(order: Acknowledged, to: OrderStatus, settled: Settled<unknown> | undefined, done: boolean): void {
    if (done) {
      order.status = to;
      order.version += 1;
    } else {
      const { status, text } = settled?.answer ?? { status: 'no answer', text: '' };
      this.odd.push(`order ${order.id} to ${to}: ${status} ${text}`);
    }
  }

  async #persist<T>(call: () => Promise<Answer<T>>): Promise<Settled<T> | undefined> {
    const settled = await callUntilAnswered(call, () => this.#isOver);
    if (settled === undefined) return undefined;
    this.retries += settled.tries - 1;
    if (performance.now() - settled.answer.durationMs > this.#since) this.answeredSince += 1;
    return settled;
  }
}

function wasRepeated(settled: Settled<unknown> | undefined): boolean {
  return settled !== undefined && settled.tries > 1;
}
