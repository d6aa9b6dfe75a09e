import type pg from 'pg';

import { connect } from '../support/postgres.ts';
import {
  type Answer,
  createServiceClient,
  expectStatus,
  nextPath,
  type Order,
  type Product,
  type ServiceClient,
} from '../support/service-client.ts';
import { type ServiceProcess, startService } from '../support/service-process.ts';
import { signWebhook } from '../support/sign-webhook.ts';
import type { Bench } from './bench.ts';
import type { LoadRequest } from './http-load.ts';
import { type HttpLoad, measureHttp, type Step } from './measure.ts';

/** The largest stock a product may have; more than any run can sell. */
const START_STOCK = 1_000_000_000;
const PRICE = 19.99;
const PAGE = 1000;
const WEBHOOK_SECRET = 'bench-webhook-secret';

export interface ShopOptions {
  /** Names its database. */
  name: string;
  products: number;
  /** Another built checkout of this project, whose service is started instead of ours. */
  root?: string;
}

/** A service in a process of its own, on a database of its own, with products to sell and the books of them. */
export class Shop {
  readonly service: ServiceProcess;
  readonly databaseUrl: string;
  /** On its database. */
  readonly client: pg.Client;
  readonly productIds: number[] = [];
  /** Orders acknowledged. */
  orders = 0;
  readonly #bench: Bench;
  readonly #http: ServiceClient;
  readonly #isOurs: boolean;

  private constructor(
    bench: Bench,
    fields: Pick<Shop, 'service' | 'databaseUrl' | 'client'>,
    isOurs: boolean,
  ) {
    this.#bench = bench;
    this.service = fields.service;
    this.databaseUrl = fields.databaseUrl;
    this.client = fields.client;
    this.#http = createServiceClient({ baseUrl: fields.service.url, apiKey: undefined });
    this.#isOurs = isOurs;
  }

  static async open(bench: Bench, { name, products, root }: ShopOptions): Promise<Shop> {
    const databaseUrl = await bench.postgres.createDatabase(name);
    const service = await startService(
      bench.children,
      { DATABASE_URL: databaseUrl, WEBHOOK_SECRET },
      { root },
    );
    const client = await connect(databaseUrl, bench.opened, 'bench');
    const shop = new Shop(bench, { service, databaseUrl, client }, root === undefined);
    for (let number = 1; number <= products; number += 1) {
      const body = { sku: `BENCH-${number}`, name: `Product ${number}`, price: PRICE, stock: START_STOCK };
      shop.productIds.push((await shop.ask<Product>('POST', '/products', 201, body)).id);
    }
    return shop;
  }

  /** @throws UnexpectedAnswer unless the answer has this status */
  async ask<T>(method: string, path: string, status: number, body?: unknown): Promise<T> {
    return expectStatus(await this.#http.call<T>(method, path, { body }), status).body;
  }

  /** Measures it, and afterwards its books must balance. */
  step(name: string, load: (measureMs: number) => HttpLoad | Promise<HttpLoad>): Step {
    const run = async (measureMs: number) => {
      const { measurement, faults } = await this.measure(await load(measureMs), measureMs);
      return { measurement, faults: [...faults, ...(await this.checkStock())] };
    };
    return { name, run };
  }

  /** Puts load on it, and keeps the books of what it sold. */
  async measure(load: HttpLoad, measureMs: number): ReturnType<typeof measureHttp> {
    const outcome = await measureHttp(this.#bench, this.service, load, measureMs);
    this.orders += outcome.answers['201'] ?? 0;
    return outcome;
  }

  /** Payments for the newest orders that wait for theirs, one for each. */
  async payments(atMost: number): Promise<LoadRequest[]> {
    const requests: LoadRequest[] = [];
    let path: string | undefined = `/orders?status=PENDING&limit=${PAGE}`;
    while (path !== undefined && requests.length < atMost) {
      const page: Answer<Order[]> = expectStatus(await this.#http.call<Order[]>('GET', path), 200);
      requests.push(...page.body.map(payment));
      path = nextPath(this.#http, page);
    }
    return requests;
  }

  /**
   * Every product must have sold + left = start, and every acknowledged order must be stored, and no other. The tables
   * of another version may be others.
   * @returns what is wrong, if anything
   */
  async checkStock(): Promise<string[]> {
    if (!this.#isOurs) return [];
    const orders = await this.client.query<{ count: string }>('select count(*) from orders');
    const wrong = await this.client.query<{ id: string }>(
      `select p.id
         from products p
         left join (select product_id, sum(quantity) as sold from order_items group by product_id) s
           on s.product_id = p.id
        where coalesce(s.sold, 0) + (p.on_hand - p.reserved) <> $1`,
      [START_STOCK],
    );
    const faults = wrong.rows.map(({ id }) => `product ${id}: sold + left is not ${START_STOCK}`);
    const stored = Number(orders.rows[0]?.count);
    if (stored !== this.orders) faults.push(`${this.orders} orders acknowledged, ${stored} stored`);
    return faults;
  }
}

function payment({ id, total }: Order): LoadRequest {
  const event = { event_type: 'payment.succeeded', event_id: `evt_bench_${id}`, order_id: id, amount: total };
  return { method: 'POST', path: '/webhooks/payment', ...signWebhook(event, WEBHOOK_SECRET) };
}
