import { randomUUID } from 'node:crypto';

import type { Answer, Order, ServiceClient } from '../support/service-client.ts';
import { signWebhook } from '../support/sign-webhook.ts';
import { together } from '../support/together.ts';
import { Books, type DrillProduct } from './books.ts';
import { paymentEvent } from './double-webhook.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { type Ground, openGround } from './ground.ts';
import { callUntilAnswered, describe } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * Baskets that name the same products in opposite orders, and after each the next step of its order, at the other
 * instance: canceled, paid, refused, shipped. Everything locks orders and products, in every direction at once.
 */
const PRODUCTS = 4;
/** More than any run sells. */
const STOCK = 100_000_000;
const BASKETS_PER_CLIENT = 4;
/** The places of the products in a basket. */
const BASKETS = [
  [0, 1],
  [1, 0],
  [0, 1, 2, 3],
  [3, 2, 1, 0],
  [2, 1],
  [1, 2],
];

const NO_DEADLOCK = 'no deadlock';
const ALL_ANSWERED = 'every call is answered as it should be';

export const deadlock: Drill = {
  title: 'baskets cross, with cancels and payments between',
  defaults: { rounds: 25, clients: 24 },
  control: {
    breaks: NO_DEADLOCK,
    how: 'a handler that locks one product after the other, as the basket has them',
  },
  async run(run) {
    const verdict = new Verdict([NO_DEADLOCK, ALL_ANSWERED, STOCK_ADDS_UP, NO_DRIFT]);
    const ground = await openGround(run, { fault: 'unsorted-locks' });
    const books = new Books(ground.services[0] as ServiceClient, verdict);
    const products = await together(PRODUCTS, () => books.createProduct(STOCK));
    for (const round of run.rounds()) {
      await together(
        run.clients * BASKETS_PER_CLIENT,
        (turn) => orderAndSettle(verdict, ground, products, turn),
        run.clients,
      );
      const { orders = 0, steps = 0 } = verdict.figures;
      run.progress(`round ${round}: ${orders} orders, ${steps} further steps`);
    }
    await books.checkAllStock();
    await books.checkDrift();
    await books.close(ground.own === undefined);
    await countDeadlocks(run, ground, verdict);
    return verdict;
  },
};

async function orderAndSettle(
  verdict: Verdict,
  ground: Ground,
  products: readonly DrillProduct[],
  turn: number,
): Promise<void> {
  const { attacked, services, webhookSecret } = ground;
  const places = BASKETS[turn % BASKETS.length] ?? [];
  const items = places.map((place) => ({ product_id: products[place]?.id, quantity: 1 }));
  const site = attacked[turn % attacked.length] as ServiceClient;
  const headers = { 'idempotency-key': randomUUID() };
  const call = () => site.call<Order>('POST', '/orders', { body: { items }, headers });
  const order = await insist(verdict, ground, call, 201);
  if (order === undefined) return;
  verdict.count('orders');
  const other = services[(turn + 1) % services.length] as ServiceClient;
  const { id, total } = order;
  for (const { expected, step } of stepsAfter(other, { id, total, turn, webhookSecret })) {
    await insist(verdict, ground, step, expected);
    verdict.count('steps');
  }
}

/**
 * Calls until the answer is not 503. A caller gets 503 for a deadlock, and for a lock wait that takes too long, as on a
 * slow machine. Where PostgreSQL counts the deadlocks, the drill tells the two apart.
 * @returns the answer's body, if it is the answer that should come
 */
async function insist<T>(
  verdict: Verdict,
  { own }: Ground,
  call: () => Promise<Answer<T>>,
  expected: number,
): Promise<T | undefined> {
  const settled = await callUntilAnswered(call);
  if (settled === undefined) {
    verdict.breach(ALL_ANSWERED, 'no answer but 503 within a minute');
    return undefined;
  }
  const { answer, tries } = settled;
  verdict.count('told 503', tries - 1);
  const isNoCircle = tries === 1 || own?.countsDeadlocks === true;
  verdict.expect(NO_DEADLOCK, isNoCircle, () => `${tries - 1} times 503, then ${describe(answer)}`);
  verdict.expect(ALL_ANSWERED, answer.status === expected, () => describe(answer));
  return answer.status === expected ? answer.body : undefined;
}

interface Settling {
  id: number;
  total: number;
  turn: number;
  webhookSecret: string;
}

/** The next step of each order, in turn; the last ones leave the order as it is. */
function stepsAfter(site: ServiceClient, { id, total, turn, webhookSecret }: Settling) {
  const cancel = { expected: 204, step: (): Promise<Answer> => site.call('DELETE', `/orders/${id}`) };
  const to = (status: string) => ({
    expected: 200,
    step: () => site.call('PUT', `/orders/${id}`, { body: { status } }),
  });
  const event = (type: string) => ({
    expected: 200,
    step: () =>
      site.call('POST', '/webhooks/payment', {
        ...signWebhook(paymentEvent(type, id, total), webhookSecret),
        withoutApiKey: true,
      }),
  });
  // As many as do not divide the number of baskets, so that every basket meets every way.
  const ways = [
    [cancel],
    [event('payment.failed')],
    [event('payment.succeeded'), to('SHIPPED')],
    [to('PAID'), cancel],
    [],
  ];
  return ways[turn % ways.length] ?? [];
}

/** PostgreSQL's own count, which has those too that the service tried again in silence. */
async function countDeadlocks(run: DrillRun, { own }: Ground, verdict: Verdict): Promise<void> {
  if (own === undefined) {
    run.note('The deadlocks that PostgreSQL counts are not known at BASE_URL.');
    return;
  }
  // Connections tell the statistics at their end, at the latest.
  await own.stop();
  const rows = await own.query<{ deadlocks: number }>(
    'select deadlocks::int from pg_stat_database where datname = current_database()',
  );
  const deadlocks = rows[0]?.deadlocks ?? 0;
  verdict.expect(NO_DEADLOCK, deadlocks === 0, () => `PostgreSQL ended ${deadlocks} deadlocks`);
  verdict.count('deadlocks', deadlocks);
}
