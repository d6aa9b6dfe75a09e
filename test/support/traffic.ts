import { setTimeout as sleep } from 'node:timers/promises';

import { DEVELOPMENT_WEBHOOK_SECRET } from '../../src/settings.ts';
import { type HttpAnswer, KeepAliveClient } from './process.ts';
import { signPayload } from './service.ts';

/*
 * Callers of every kind that go on while something is done to the database. Each answer is checked against what the
 * contract allows; each call without an answer is made again at the end.
 */
const kinds = ['place', 'pay', 'create', 'edit', 'read product', 'read order', 'list'] as const;
export type Kind = (typeof kinds)[number];
export const allKinds: readonly Kind[] = kinds;

/** Callers of each kind: with a pool of 4, more than there are connections. */
const CALLERS = 3;
/** Between two calls of one caller, so that the load is bounded also when every answer is an immediate refusal. */
const PAUSE_MS = 20;

interface Answer {
  kind: Kind;
  status: number;
  sentAt: number;
  answeredAt: number;
  /** What is wrong with it; undefined when the contract allows it. */
  wrong: string | undefined;
}

export class Traffic {
  readonly #url: string;
  readonly #answers: Answer[] = [];
  /** What `/healthz` has answered. */
  readonly probes: number[] = [];
  slowestProbeMs = 0;
  /** Key → id of what was answered; undefined as long as no answer has come. */
  readonly orders = new Map<string, number | undefined>();
  readonly products = new Map<string, number | undefined>();
  /** Payments that were sent, and whether they were acknowledged. */
  readonly payments = new Map<number, boolean>();
  /** Placed and not yet paid for. */
  readonly #unpaid: number[] = [];
  #productId = 0;
  #orderId = 0;
  #firstOrderId = 0;
  #over = false;
  #callers: Promise<unknown> = Promise.resolve();

  constructor(url: string) {
    this.#url = url;
  }

  /** Makes what they call for, and starts the callers. */
  async start(): Promise<void> {
    const client = new KeepAliveClient(this.#url);
    const product = { sku: 'SOLD', name: 'Sold', price: 1, stock: 1_000_000 };
    this.#productId = (await client.call('POST', '/products', product)).body.id;
    const first = await this.sendOrder(client, 'first');
    this.#firstOrderId = first.body.id;
    client.close();
    const callers = kinds.flatMap((kind) => Array.from({ length: CALLERS }, (_, n) => this.#go(kind, n)));
    this.#callers = Promise.all([...callers, this.#probe()]);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#callers;
  }

  /** The kinds of calls of which one that was sent after the given time has been answered as it should be. */
  servedSince(time: number): Kind[] {
    const served = this.#answers.filter((answer) => isServed(answer) && answer.sentAt >= time);
    return kinds.filter((kind) => served.some((answer) => answer.kind === kind));
  }

  /** The kinds of calls of which one has been refused after the given time. */
  refusedSince(time: number): Kind[] {
    const refused = this.#answers.filter((answer) => !isServed(answer) && answer.answeredAt >= time);
    return kinds.filter((kind) => refused.some((answer) => answer.kind === kind));
  }

  /** How long after the given time the last kind of call was served for the first time. */
  backAfterMs(time: number): number {
    const served = this.#answers.filter((answer) => isServed(answer) && answer.sentAt >= time);
    const first = kinds.map((kind) => served.find((answer) => answer.kind === kind)?.answeredAt ?? Infinity);
    return Math.max(...first) - time;
  }

  /** The answers that the contract does not allow. */
  get wrong(): string[] {
    return this.#answers.flatMap(({ kind, wrong }) => (wrong === undefined ? [] : `${kind}: ${wrong}`));
  }

  get slowestMs(): number {
    return Math.max(...this.#answers.map(({ sentAt, answeredAt }) => answeredAt - sentAt));
  }

  async #go(kind: Kind, caller: number): Promise<void> {
    const client = new KeepAliveClient(this.#url);
    for (let turn = 0; !this.#over; turn++) {
      // The last of the callers gives up at a refusal; the others insist, as clients with a key do.
      const insists = caller < CALLERS - 1;
      const call = this.#callOf(kind, client, `${kind}-${caller}-${turn}`);
      let served = false;
      while (!served && !this.#over) {
        await sleep(PAUSE_MS);
        served = (await this.#make(kind, call)) || !insists;
      }
    }
    client.close();
  }

  /** @returns whether it was served */
  async #make(kind: Kind, call: () => Promise<HttpAnswer>): Promise<boolean> {
    const sentAt = performance.now();
    const { status, wrong } = await call().then(
      (answer) => ({ status: answer.status, wrong: wrongWith(kind, answer) }),
      (error: unknown) => ({ status: 0, wrong: `no answer: ${String(error)}` }),
    );
    const answer = { kind, status, sentAt, answeredAt: performance.now(), wrong };
    this.#answers.push(answer);
    return isServed(answer);
  }

  #callOf(kind: Kind, client: KeepAliveClient, name: string): () => Promise<HttpAnswer> {
    switch (kind) {
      case 'place':
        return () => this.sendOrder(client, name);
      case 'create':
        return () => this.sendProduct(client, name);
      case 'pay': {
        // Providers repeat themselves, and so do these when there is nothing new to pay.
        const orderId = this.#unpaid.shift() ?? this.#firstOrderId;
        return () => this.sendPayment(client, orderId);
      }
      case 'edit':
        return () => client.call('PATCH', `/products/${this.#productId}`, { name });
      case 'read product':
        return () => client.call('GET', `/products/${this.#productId}`);
      case 'read order':
        return () => client.call('GET', `/orders/${this.#orderId}`);
      case 'list':
      default:
        return () => client.call('GET', '/orders?limit=5');
    }
  }

  async sendOrder(client: KeepAliveClient, key: string): Promise<HttpAnswer> {
    const known = this.orders.get(key);
    this.orders.set(key, known);
    const body = { product_id: this.#productId, quantity: 1 };
    const answer = await client.call('POST', '/orders', body, { 'idempotency-key': key });
    if (answer.status === 201) {
      this.orders.set(key, answer.body.id);
      this.#orderId = answer.body.id;
      if (known === undefined) this.#unpaid.push(answer.body.id);
    }
    return answer;
  }

  async sendProduct(client: KeepAliveClient, key: string): Promise<HttpAnswer> {
    this.products.set(key, this.products.get(key));
    const body = { sku: key, name: 'Created', price: 1, stock: 1 };
    const answer = await client.call('POST', '/products', body, { 'idempotency-key': key });
    if (answer.status === 201) this.products.set(key, answer.body.id);
    return answer;
  }

  async sendPayment(client: KeepAliveClient, orderId: number): Promise<HttpAnswer> {
    this.payments.set(orderId, this.payments.get(orderId) ?? false);
    const event = { event_type: 'payment.succeeded', order_id: orderId, event_id: `evt-${orderId}` };
    const signature = signPayload(JSON.stringify(event), DEVELOPMENT_WEBHOOK_SECRET);
    const answer = await client.call('POST', '/webhooks/payment', event, {
      'x-webhook-signature': signature,
    });
    if (answer.status === 200) this.payments.set(orderId, true);
    return answer;
  }

  async #probe(): Promise<void> {
    const client = new KeepAliveClient(this.#url);
    while (!this.#over) {
      const sentAt = performance.now();
      const probe = client.call('GET', '/healthz').then(
        ({ status }) => status,
        () => 0,
      );
      this.probes.push(await probe);
      this.slowestProbeMs = Math.max(this.slowestProbeMs, performance.now() - sentAt);
      await sleep(PAUSE_MS * 5);
    }
    client.close();
  }
}

function isServed({ status }: Pick<Answer, 'status'>): boolean {
  return status === 200 || status === 201;
}

/** The answer, when the contract does not allow it in any state of the database. */
function wrongWith(kind: Kind, { status, headers, body }: HttpAnswer): string | undefined {
  const told = `${status} ${JSON.stringify(body)}`;
  if (isServed({ status })) {
    const served = kind !== 'pay' || ['processed', 'already_processed'].includes(body.status);
    return served ? undefined : told;
  }
  const problem = String(headers['content-type']).startsWith('application/problem+json');
  if (!problem || headers['retry-after'] !== '1') return told;
  const busyKey = status === 409 && body.code === 'idempotency_key_in_progress';
  return busyKey || (status === 503 && body.code === 'service_unavailable') ? undefined : told;
}
