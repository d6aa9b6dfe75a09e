import { randomBytes } from 'node:crypto';

import {
  type Answer,
  expectStatus,
  nextPath,
  type Order,
  type OrderStatus,
  type Product,
  type ServiceClient,
} from '../support/service-client.ts';
import { NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import type { Verdict } from './verdict.ts';

/** The fields of an order that a drill uses. */
export interface StoredOrder extends Order {
  version: number;
  expires_at: string | null;
}

export interface DrillProduct {
  id: number;
  /** How many pieces there were at first. */
  start: number;
}

/** The fields of GET /inventory/audit that a drill uses. */
export interface Audit {
  products: number;
  drift_units: number;
  drifts: { sku: string }[];
}

const PRICE = 19.99;
const PAGE = 1000;

/** The products of one drill, and whether their orders, their stock and the service's own audit agree, over HTTP. */
export class Books {
  readonly #client: ServiceClient;
  readonly #verdict: Verdict;
  readonly #products: DrillProduct[] = [];
  #made = 0;
  #drift = 0;
  /** Tells the products of one drill from those of all others. */
  readonly #name = `DRILL-${Date.now().toString(36)}-${randomBytes(3).toString('hex')}`.toUpperCase();

  constructor(client: ServiceClient, verdict: Verdict) {
    this.#client = client;
    this.#verdict = verdict;
  }

  async createProduct(stock: number): Promise<DrillProduct> {
    this.#made += 1;
    const number = this.#made;
    const body = { sku: `${this.#name}-${number}`, name: `Drill, ${number}`, price: PRICE, stock };
    const answer = await this.#client.call<Product>('POST', '/products', { body });
    const product = { id: expectStatus(answer, 201).body.id, start: stock };
    this.#products.push(product);
    return product;
  }

  /** Every order that names a product, oldest first. */
  async ordersOf({ id }: DrillProduct): Promise<StoredOrder[]> {
    const orders: StoredOrder[] = [];
    let path: string | undefined = `/orders?product_id=${id}&sort=id&limit=${PAGE}`;
    while (path !== undefined) {
      const answer: Answer<StoredOrder[]> = await this.#client.call('GET', path);
      orders.push(...expectStatus(answer, 200).body);
      path = nextPath(this.#client, answer);
    }
    return orders;
  }

  async stockOf({ id }: DrillProduct): Promise<Product> {
    return expectStatus(await this.#client.call<Product>('GET', `/products/${id}`), 200).body;
  }

  /**
   * sold + left = start, where sold is the sum over the orders that are not canceled.
   * @returns the orders and the stock left, as they were read
   */
  async checkStock(product: DrillProduct): Promise<{ orders: StoredOrder[]; left: number }> {
    const [orders, { stock: left }] = [await this.ordersOf(product), await this.stockOf(product)];
    const sold = orders.reduce((sum, order) => sum + piecesSold(order, product.id), 0);
    this.#verdict.expect(
      STOCK_ADDS_UP,
      sold + left === product.start,
      () => `product ${product.id}: ${sold} sold + ${left} left is not ${product.start}`,
    );
    return { orders, left };
  }

  async checkAllStock(): Promise<void> {
    for (const product of this.#products) await this.checkStock(product);
  }

  /** The service's own audit: every counter equals the sum of the ledger and of the open orders. */
  async checkDrift(): Promise<void> {
    const { body } = expectStatus(await this.#client.call<Audit>('GET', '/inventory/audit'), 200);
    const skus = body.drifts.map(({ sku }) => sku).join(', ');
    this.#verdict.expect(
      NO_DRIFT,
      body.drift_units === 0 && body.drifts.length === 0,
      () => `the audit finds ${body.drift_units} pieces adrift, in ${skus}`,
    );
    this.#drift = Math.max(this.#drift, body.drift_units);
  }

  /** The last entry. In a shop that goes on after the drill, its products must not be for sale. */
  async close(shopGoesOn: boolean): Promise<void> {
    this.#verdict.figures['drift'] = this.#drift;
    if (!shopGoesOn) return;
    for (const { id } of this.#products) {
      await this.#client.call('PATCH', `/products/${id}`, { body: { active: false } });
    }
  }
}

function piecesSold({ status, items }: StoredOrder, productId: number): number {
  if (status === 'CANCELED') return 0;
  return items.reduce((sum, item) => sum + (item.product_id === productId ? item.quantity : 0), 0);
}

/** Marks the orders of one key, even where the service ignores the key. */
export function emailOf(key: string): string {
  return `${key}@drill.example`;
}

/** The fields of an order's transition that a drill uses. */
export interface HistoryStep {
  to: OrderStatus;
  at: string;
  cause: string;
}

/** Oldest first; the first is that it was placed. */
export async function historyOf(client: ServiceClient, orderId: number): Promise<HistoryStep[]> {
  return expectStatus(await client.call<HistoryStep[]>('GET', `/orders/${orderId}/history`), 200).body;
}
