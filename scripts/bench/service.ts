import type pg from 'pg';

import { residentMb } from './machine.ts';

/** The largest stock a product may have; more than any run can sell. */
export const START_STOCK = 1_000_000_000;

/** Sends JSON and expects to succeed. */
export async function call<T>(url: string, body?: unknown): Promise<T> {
  const post = { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(url, {
    ...(body === undefined ? {} : post),
    headers: { 'content-type': 'application/json' },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

/** @returns the ids of new products, with START_STOCK each */
export async function createProducts(url: string, count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let number = 1; number <= count; number += 1) {
    const product = { sku: `BENCH-${number}`, name: `Product ${number}`, price: 19.99, stock: START_STOCK };
    ids.push((await call<{ id: number }>(`${url}/products`, product)).id);
  }
  return ids;
}

/**
 * Every product must have sold + left = start, and every acknowledged order must be stored, and no other.
 * @returns what is wrong, if anything
 */
export async function checkStock(client: pg.Client, acknowledged: number): Promise<string[]> {
  const orders = await client.query<{ count: string }>('select count(*) from orders');
  const wrong = await client.query<{ id: string }>(
    `select p.id
       from products p
       left join (select product_id, sum(quantity) as sold from order_items group by product_id) s
         on s.product_id = p.id
      where coalesce(s.sold, 0) + (p.on_hand - p.reserved) <> $1`,
    [START_STOCK],
  );
  const faults = wrong.rows.map(({ id }) => `product ${id}: sold + left is not ${START_STOCK}`);
  const stored = Number(orders.rows[0]?.count);
  if (stored !== acknowledged) faults.push(`${acknowledged} orders acknowledged, ${stored} stored`);
  return faults;
}

export interface MemorySummary {
  maxMb: number;
  lastMb: number;
  /** Median of the last quarter of the samples over that of the second: about 1 when nothing leaks. */
  growth: number;
}

const SAMPLE_MS = 250;

/** Watches the resident memory of a process until `stop`. */
export class MemoryWatch {
  readonly #samples: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      residentMb(pid).then(
        (megabytes) => megabytes !== undefined && this.#samples.push(megabytes),
        () => undefined,
      );
    }, SAMPLE_MS);
  }

  /** Undefined where the system does not tell. */
  stop(): MemorySummary | undefined {
    clearInterval(this.#timer);
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last === undefined) return undefined;
    const quarter = Math.ceil(samples.length / 4);
    const early = median(samples.slice(quarter, 2 * quarter));
    const growth = early === 0 ? 1 : median(samples.slice(-quarter)) / early;
    return { maxMb: Math.max(...samples), lastMb: last, growth };
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
