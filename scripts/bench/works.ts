import { type HttpLoad, type Step, WARMUP_MS } from './measure.ts';
import { orderRequest, readRequest } from './requests.ts';
import type { Shop } from './shop.ts';

/** What the goals are judged at; the other numbers of connections show the shape. */
export const JUDGED_CONNECTIONS = 100;
export const MIX_CONNECTIONS = 200;
/** More payments a millisecond than any service here takes. */
const PAYMENTS_PER_MS = 10;

type Load = (productIds: readonly number[]) => HttpLoad;

/** The loads that peers also take. */
export const hotLoad =
  (connections: number): Load =>
  ([first = 0]) => ({ connections, requests: [orderRequest(first)] });
export const spreadLoad =
  (connections: number): Load =>
  (ids) => ({ connections, requests: ids.map(orderRequest) });
export const readLoad =
  (connections: number): Load =>
  (ids) => ({ connections, requests: ids.map((id) => readRequest(`/products/${id}`)) });

/** One thing that a shop is measured at. Its name is that of its measurements. */
export interface Work {
  name: string;
  load: (shop: Shop, measureMs: number) => HttpLoad | Promise<HttpLoad>;
}

const work = (name: string, load: Load): Work => ({ name, load: ({ productIds }) => load(productIds) });

export const hot = (connections: number) => work(`orders.hot.${connections}`, hotLoad(connections));
export const spread = (connections: number) => work(`orders.spread.${connections}`, spreadLoad(connections));
export const read = (connections: number) => work(`get.${connections}`, readLoad(connections));
export const orderLatency = work('orders.latency', hotLoad(1));
export const readLatency = work('get.latency', readLoad(1));

/** 80 % reads: four of the five requests for each product. */
export const mix = work('mix', (ids) => ({
  connections: MIX_CONNECTIONS,
  requests: ids.flatMap((id) => [orderRequest(id), ...Array(4).fill(readRequest(`/products/${id}`))]),
}));

/** Each event is another, for an order placed beforehand: a known one would be answered without any work. */
export const payments: Work = {
  name: `payments.${JUDGED_CONNECTIONS}`,
  async load(shop, measureMs) {
    await shop.measure(spreadLoad(JUDGED_CONNECTIONS)(shop.productIds), measureMs);
    const requests = await shop.payments((WARMUP_MS + measureMs) * PAYMENTS_PER_MS);
    return { connections: JUDGED_CONNECTIONS, requests, once: true };
  },
};

/** @param prefix of the name, for the same work of another version */
export function stepOf(shop: Shop, { name, load }: Work, prefix = ''): Step {
  return shop.step(prefix + name, (measureMs) => load(shop, measureMs));
}
