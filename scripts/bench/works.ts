import type { HttpLoad, Step } from './measure.ts';
import { WARMUP_MS } from './measure.ts';
import { orderRequest, readRequest } from './requests.ts';
import type { Shop } from './shop.ts';

/** What the goals are judged at; the other numbers of connections show the shape. */
export const JUDGED_CONNECTIONS = 100;
export const MIX_CONNECTIONS = 200;
/** More payments a millisecond than any service here takes. */
const PAYMENTS_PER_MS = 10;

/** What is asked of a shop, also of a peer that answers the same. */
export const loads = {
  hot: ([first = 0]: readonly number[], connections: number): HttpLoad => ({
    connections,
    requests: [orderRequest(first)],
  }),
  spread: (productIds: readonly number[], connections: number): HttpLoad => ({
    connections,
    requests: productIds.map(orderRequest),
  }),
  read: (productIds: readonly number[], connections: number): HttpLoad => ({
    connections,
    requests: productIds.map((id) => readRequest(`/products/${id}`)),
  }),
  /** 80 % reads: four of the five requests for each product. */
  mix: (productIds: readonly number[]): HttpLoad => ({
    connections: MIX_CONNECTIONS,
    requests: productIds.flatMap((id) => [
      orderRequest(id),
      ...Array.from({ length: 4 }, () => readRequest(`/products/${id}`)),
    ]),
  }),
};

/** The works of one shop, named alike for every shop but for the prefix. */
export class Works {
  readonly #shop: Shop;
  readonly #prefix: string;

  constructor(shop: Shop, prefix = '') {
    this.#shop = shop;
    this.#prefix = prefix;
  }

  hot(connections: number): Step {
    return this.#step(`orders.hot.${connections}`, (ids) => loads.hot(ids, connections));
  }

  spread(connections: number): Step {
    return this.#step(`orders.spread.${connections}`, (ids) => loads.spread(ids, connections));
  }

  read(connections: number): Step {
    return this.#step(`get.${connections}`, (ids) => loads.read(ids, connections));
  }

  mix(): Step {
    return this.#step('mix', loads.mix);
  }

  orderLatency(): Step {
    return this.#step('orders.latency', (ids) => loads.hot(ids, 1));
  }

  readLatency(): Step {
    return this.#step('get.latency', (ids) => loads.read(ids, 1));
  }

  /** Each event is another, for an order placed beforehand: a known one would be answered without any work. */
  payments(connections: number): Step {
    const shop = this.#shop;
    return shop.step(`${this.#prefix}payments.${connections}`, async (measureMs) => {
      await shop.measure(loads.spread(shop.productIds, connections), measureMs);
      const requests = await shop.payments((WARMUP_MS + measureMs) * PAYMENTS_PER_MS);
      return { connections, requests, once: true };
    });
  }

  #step(name: string, load: (productIds: readonly number[]) => HttpLoad): Step {
    return this.#shop.step(this.#prefix + name, () => load(this.#shop.productIds));
  }
}
