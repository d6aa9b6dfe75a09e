import { expectStatus, type Order, type Product, type ServiceClient } from '../support/service-client.ts';
import type { LoadRequest } from './http-load.ts';
import { orderRequest, readRequest } from './requests.ts';

/** Products of this run alone, so that every piece of them can be accounted for. */
const PRODUCTS = 20;
const STOCK = 10_000_000;
/** Placed beforehand, to be read. */
const ORDERS_EACH = 5;

interface LoadProduct {
  id: number;
  acknowledged: number;
}

/** What a run of load buys in, and the books of it. */
export class LoadShop {
  readonly #client: ServiceClient;
  readonly #headers: Record<string, string>;
  readonly #products: LoadProduct[] = [];
  readonly #orderIds: number[] = [];

  private constructor(client: ServiceClient, headers: Record<string, string>) {
    this.#client = client;
    this.#headers = headers;
  }

  /** @param headers of each request of the load, which the client does not send */
  static async open(client: ServiceClient, headers: Record<string, string>): Promise<LoadShop> {
    const shop = new LoadShop(client, headers);
    const run = Date.now().toString(36).toUpperCase();
    for (let number = 1; number <= PRODUCTS; number += 1) {
      const sku = `LOAD-${run}-${String(number).padStart(2, '0')}`;
      const body = { sku, name: `Load test ${run}, ${number}`, price: 19.99, stock: STOCK };
      const created = expectStatus(await client.call<Product>('POST', '/products', { body }), 201);
      shop.#products.push({ id: created.body.id, acknowledged: 0 });
    }
    for (const product of shop.#products) {
      for (let count = 0; count < ORDERS_EACH; count += 1) {
        const body = { product_id: product.id, quantity: 1 };
        const placed = expectStatus(await client.call<Order>('POST', '/orders', { body }), 201);
        shop.#orderIds.push(placed.body.id);
        product.acknowledged += 1;
      }
    }
    return shop;
  }

  /** Of ten requests two place an order, four read a product and four read an order. */
  requests(): LoadRequest[] {
    const headers = this.#headers;
    return this.#products.flatMap((product, index) => {
      const place = orderRequest(product.id);
      const buy: LoadRequest = {
        ...place,
        headers: { ...place.headers, ...headers },
        onResponse: (status) => {
          if (status === 201) product.acknowledged += 1;
        },
      };
      const readOrders = Array.from({ length: 4 }, (_, step) => {
        const orderId = this.#orderIds[(index * 4 + step) % this.#orderIds.length];
        return { ...readRequest(`/orders/${orderId}`), headers };
      });
      const readProduct = { ...readRequest(`/products/${product.id}`), headers };
      return [buy, buy, ...readOrders, ...Array.from({ length: 4 }, () => readProduct)];
    });
  }

  /**
   * Every product: sold + left = start, and reserved is the sum of its acknowledged orders. An order whose answer was
   * lost may have been placed or not, so each of those widens what is right by one.
   * @returns what is wrong, if anything
   */
  async check(lost: number): Promise<string[]> {
    const faults: string[] = [];
    for (const { id, acknowledged } of this.#products) {
      const answer = await this.#client.call<Product>('GET', `/products/${id}`);
      const { stock, reserved } = expectStatus(answer, 200).body;
      if (reserved + stock !== STOCK) {
        faults.push(`product ${id}: ${reserved} sold + ${stock} left is not ${STOCK}`);
      }
      if (reserved < acknowledged || reserved > acknowledged + lost) {
        faults.push(`product ${id}: ${acknowledged} orders acknowledged, but ${reserved} pieces reserved`);
      }
    }
    return faults;
  }

  get acknowledged(): number {
    return this.#products.reduce((sum, product) => sum + product.acknowledged, 0);
  }
}
