import { setTimeout as sleep } from 'node:timers/promises';

import { type Answer, expectStatus, type ServiceClient, ServiceFailure } from '../support/service-client.ts';
import { signWebhook } from '../support/sign-webhook.ts';
import { together } from '../support/together.ts';
import { Books, type DrillProduct, historyOf, type StoredOrder } from './books.ts';
import { paymentEvent } from './double-webhook.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { type Ground, openGround, type OwnGround } from './ground.ts';
import { answerTo } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * A round is a product that is sold out, by orders that are all about to expire. Most of them are paid at about that
 * moment, at either instance, while others want to buy. Once all have expired, unpaid stock must be for sale at once.
 *
 * ORDER_TTL_MINUTES counts minutes, so the drill moves expires_at of its own orders in the database that it made.
 */
const ORDERS = 40;
/** One in so many is never paid. */
const UNPAID_EVERY = 5;
const DELIVERIES = 3;
/** From the first to the last expiry of a round, and the time before the first. */
const SPREAD_MS = 400;
const LEAD_MS = 200;
/** Payments come between so much before the expiry and so much after it; they take some of that time themselves. */
const EARLY_MS = 150;
const LATE_MS = 30;
/** Buyers that try again and again to buy something. */
const BUYERS = 4;

const ONE_ENDING = 'each order ends in exactly one legal way';
const TIME_DECIDES = 'paid before its time, expired after it';
const SELLS_AT_ONCE = 'expired stock sells at once';

export const expiry: Drill = {
  title: 'payments race the expiry of their orders',
  defaults: { rounds: 15, clients: 50 },
  needsOwnService: 'moves the expiry of orders in the database',
  control: {
    breaks: ONE_ENDING,
    how: 'a handler that looks at the order, asks the payment provider, and does not look again',
  },
  async run(run) {
    const verdict = new Verdict([ONE_ENDING, TIME_DECIDES, SELLS_AT_ONCE, STOCK_ADDS_UP, NO_DRIFT]);
    const env = { ORDER_TTL_MINUTES: '60' };
    const ground = await openGround(run, { fault: 'no-second-check', env });
    const own = ground.own as OwnGround;
    const [reader] = ground.services as [ServiceClient];
    const books = new Books(reader, verdict);
    for (const round of run.rounds()) {
      const product = await books.createProduct(ORDERS);
      const orders = await sellOut(run, ground, product);
      const endsAt = await shortenLives(own, orders);
      const race = { over: false };
      const buying = buyMeanwhile(ground, product, race);
      const payments = await raceToPay(ground, orders, endsAt).finally(() => {
        race.over = true;
      });
      verdict.count('resold', await buying);
      for (const payment of payments) await judgeEnding(verdict, reader, payment);
      await checkResale(verdict, ground, product, books);
      await books.checkStock(product);
      await books.checkDrift();
      verdict.count('orders', orders.length);
      const { orders: raced = 0, paid = 0, expired = 0 } = verdict.figures;
      run.progress(`round ${round}: ${raced} orders at the brink, ${paid} paid, ${expired} expired`);
    }
    await books.close(false);
    return verdict;
  },
};

async function sellOut(
  { clients }: DrillRun,
  { services }: Ground,
  { id }: DrillProduct,
): Promise<StoredOrder[]> {
  const orders = await together(
    ORDERS,
    async (index) => {
      const site = services[index % services.length] as ServiceClient;
      const answer = await site.call<StoredOrder>('POST', '/orders', {
        body: { product_id: id, quantity: 1 },
      });
      return expectStatus(answer, 201).body;
    },
    clients,
  );
  if (orders.some(({ expires_at: at }) => at === null)) {
    throw new ServiceFailure('The service gave an order no expires_at, although ORDER_TTL_MINUTES is set.');
  }
  return orders;
}

/**
 * The moment of each expiry by this process's clock, by the order's id. The database's clock decides, so the difference
 * between the two clocks is taken into account.
 */
async function shortenLives(own: OwnGround, orders: readonly StoredOrder[]): Promise<Map<number, number>> {
  const rows = await own.query<{ id: string; in_ms: number }>(
    `update orders
        set expires_at = clock_timestamp() + make_interval(secs => ($2 + random() * $3) / 1000.0)
      where id = any($1::bigint[])
     returning id, extract(epoch from expires_at - clock_timestamp())::float8 * 1000 as in_ms`,
    [orders.map(({ id }) => id), LEAD_MS, SPREAD_MS],
  );
  const now = performance.now();
  return new Map(rows.map((row) => [Number(row.id), now + row.in_ms]));
}

/** Resolves when the last order has expired, too. */
async function raceToPay(
  ground: Ground,
  orders: readonly StoredOrder[],
  endsAt: ReadonlyMap<number, number>,
): Promise<Payment[]> {
  const payments = await Promise.all(
    orders.map((order, index) => payAtTheBrink(ground, order, index, endsAt)),
  );
  await until(Math.max(...endsAt.values()) + 1);
  return payments;
}

async function until(moment: number): Promise<void> {
  const ms = moment - performance.now();
  if (ms > 0) await sleep(ms);
}

interface Payment {
  order: StoredOrder;
  /** None for an order that is never paid. */
  answers: Answer<{ status?: string } | undefined>[];
}

async function payAtTheBrink(
  { attacked, webhookSecret }: Ground,
  order: StoredOrder,
  index: number,
  endsAt: ReadonlyMap<number, number>,
): Promise<Payment> {
  if (index % UNPAID_EVERY === 0) return { order, answers: [] };
  const event = paymentEvent('payment.succeeded', order.id, order.total);
  await until((endsAt.get(order.id) ?? 0) - EARLY_MS + Math.random() * (EARLY_MS + LATE_MS));
  const answers = await together<Payment['answers'][number]>(DELIVERIES, (delivery) => {
    const site = attacked[(index + delivery) % attacked.length] as ServiceClient;
    const webhook = { ...signWebhook(event, webhookSecret), withoutApiKey: true };
    return answerTo(site.call('POST', '/webhooks/payment', webhook));
  });
  return { order, answers };
}

/** @returns how many were bought */
async function buyMeanwhile(
  { services }: Ground,
  { id }: DrillProduct,
  race: { over: boolean },
): Promise<number> {
  const bought = await together(BUYERS, async (buyer) => {
    let count = 0;
    for (let n = buyer; !race.over; n += 1) {
      const site = services[n % services.length] as ServiceClient;
      const { status } = await answerTo(
        site.call('POST', '/orders', { body: { product_id: id, quantity: 1 } }),
      );
      if (status === 201) count += 1;
    }
    return count;
  });
  return bought.reduce((sum, count) => sum + count, 0);
}

/**
 * Paid: one delivery was processed, and the order is PAID for good. Expired: it is canceled for that cause, and a payment
 * that came is a review. Nothing else, and never both.
 */
async function judgeEnding(
  verdict: Verdict,
  reader: ServiceClient,
  { order, answers }: Payment,
): Promise<void> {
  const [, ...steps] = await historyOf(reader, order.id);
  const { expires_at: expiresAt } = expectStatus(
    await reader.call<StoredOrder>('GET', `/orders/${order.id}`),
    200,
  ).body;
  const said = answers.map(({ status, body }) => body?.status ?? String(status)).toSorted();
  const told = said.filter((word) => word !== 'already_processed').join();
  const ways = steps.map(({ to, cause }) => `${to} by ${cause}`).join(', ');
  // Not yet swept: it must be overdue, for its time is over, and will be judged by the stock.
  const ending = ways === '' ? 'overdue' : ways;
  const legal =
    (ending === 'PAID by payment.succeeded' && told === 'processed') ||
    (ending === 'CANCELED by expired' && told === (answers.length === 0 ? '' : 'review')) ||
    (ending === 'overdue' && answers.length === 0);
  verdict.expect(
    ONE_ENDING,
    legal,
    () => `order ${order.id}: ${ending}; its payment was told ${said.join()}`,
  );
  for (const { to, at } of steps) {
    const inTime = Date.parse(at) < Date.parse(expiresAt ?? '');
    verdict.expect(
      TIME_DECIDES,
      inTime === (to === 'PAID'),
      () => `order ${order.id}: ${to} at ${at}, though it expires at ${expiresAt}`,
    );
  }
  verdict.count(ending.startsWith('PAID') ? 'paid' : 'expired');
}

/** Ends the life of every order that is not paid, and sells all of it again with the very next calls. */
async function checkResale(
  verdict: Verdict,
  { own, services }: Ground,
  product: DrillProduct,
  books: Books,
): Promise<void> {
  await own?.query(
    `update orders set expires_at = now() - interval '1 ms'
      where status = 'PENDING' and id in (select order_id from order_items where product_id = $1)`,
    [product.id],
  );
  const paid = (await books.ordersOf(product)).filter(({ status }) => status === 'PAID').length;
  const free = product.start - paid;
  const sales = await together(free + 1, (buyer) => {
    const site = services[buyer % services.length] as ServiceClient;
    return answerTo(site.call('POST', '/orders', { body: { product_id: product.id, quantity: 1 } }));
  });
  const sold = sales.filter(({ status }) => status === 201).length;
  verdict.expect(
    SELLS_AT_ONCE,
    sold === free,
    () =>
      `product ${product.id}: ${paid} of ${product.start} pieces are paid, and ${sold} more could be sold`,
  );
}
