import { setTimeout as sleep } from 'node:timers/promises';

import { ServiceFailure } from '../support/service-client.ts';
import { together } from '../support/together.ts';
import { Books, type DrillProduct, emailOf, type StoredOrder } from './books.ts';
import { CrashBuyers } from './crash-buyers.ts';
import { CrashSite, type Kill, KILLS } from './crash-site.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { Verdict } from './verdict.ts';

/*
 * A round is a kill in the middle of the load, and the recovery from it. Buyers never stop: a buyer
 * without an answer sends the same key again. At the end, every answer that a buyer got must agree with the database.
 */
const PRODUCTS = 5;
/** More than any run sells. */
const STOCK = 100_000_000;
/** As many calls are answered before each kill, at random between the two. */
const LOAD = [100, 400] as const;
const POLL_MS = 5;
/** The service comes back by itself; the longest recovery there is replays a gigabyte of log. */
const RECOVERY_MS = 60_000;

const NOTHING_LOST = 'acknowledged ⊆ stored';
const NOTHING_DOUBLED = 'one order per key';
const ALL_SETTLED = 'every key is answered in the end';
export const COMES_BACK = 'back by itself after every kill';
const LEGAL_ANSWERS = 'no answer but success, 503 or none';

/** Kills that lose everything that PostgreSQL holds in memory only. */
const LOSING: readonly Kill[] = ['PostgreSQL', 'everything', 'backend killed'];

/** Checks that need a service that answers. */
const ACCOUNTED = [NOTHING_LOST, NOTHING_DOUBLED, ALL_SETTLED, STOCK_ADDS_UP, NO_DRIFT, LEGAL_ANSWERS];

export const crash: Drill = {
  title: 'the service, connections and PostgreSQL are killed under load',
  defaults: { rounds: 25, clients: 16 },
  needsOwnService: 'kills the service and its PostgreSQL',
  control: { breaks: NOTHING_LOST, how: 'a database with synchronous_commit = off' },
  async run(run) {
    const verdict = new Verdict([COMES_BACK, ...ACCOUNTED]);
    const site = await CrashSite.open(run);
    run.note('One service with its embedded PostgreSQL, as npm start runs it.');
    const { books, products, buyers, fault } = await buyUnderKills(run, site, verdict);
    if (fault !== undefined) {
      verdict.breach(COMES_BACK, fault);
      for (const promise of ACCOUNTED) verdict.breach(promise, 'could not be checked');
      return verdict;
    }
    await buyers.settle();
    await account({ buyers, books, verdict }, await storedOrders(books, products));
    return verdict;
  },
};

/**
 * Buyers order from new products while the service and PostgreSQL are killed, a round for each kill. All of them have
 * stopped when it returns. `fault` says why the rounds ended too early; then the promises could not be checked.
 * @throws ServiceFailure for a fault of a control run, which has then found nothing
 */
export async function buyUnderKills(run: DrillRun, site: CrashSite, verdict: Verdict) {
  const books = new Books(site.client, verdict);
  const products = await together(PRODUCTS, () => books.createProduct(STOCK));
  if (run.options.control) await site.loseDurability();
  const buyers = new CrashBuyers(site, products);
  const buying = buyers.buy(run.clients);
  // A failure is thrown where it is awaited.
  buying.catch(() => undefined);
  const fault = await killInRounds(run, { site, buyers, verdict }).finally(() => buyers.stop());
  if (fault !== undefined) buyers.giveUp();
  await buying;
  if (fault !== undefined && run.options.control) throw new ServiceFailure(fault);
  return { books, products, buyers, fault };
}

interface Scene {
  site: CrashSite;
  buyers: CrashBuyers;
  verdict: Verdict;
}

/** @returns why the rounds ended too early, if they did */
async function killInRounds(run: DrillRun, { site, buyers, verdict }: Scene): Promise<string | undefined> {
  const kinds = run.options.control ? LOSING : KILLS;
  verdict.count('kills', 0);
  for (const kind of kinds) verdict.count(`of which ${kind}`, 0);
  const [least, most] = LOAD;
  for (const round of run.rounds()) {
    const load = least + Math.floor(Math.random() * (most - least));
    if (!(await answers(buyers, load))) return `before kill ${round}: no ${load} answers within a minute`;
    const kind = kinds[(round - 1) % kinds.length] as Kill;
    const killedAt = performance.now();
    await site.kill(kind);
    buyers.countFromNow();
    verdict.count('kills');
    verdict.count(`of which ${kind}`);
    const isBack = await answers(buyers, 1);
    if (!isBack) return `kill ${round} (${kind}): no answer within a minute`;
    if (site.hasEndedByItself) return `kill ${round} (${kind}): the service has ended, too`;
    const awayMs = Math.round(performance.now() - killedAt);
    verdict.figures['longest away ms'] = Math.max(verdict.figures['longest away ms'] ?? 0, awayMs);
    run.progress(
      `kill ${round}: ${kind}, back after ${awayMs} ms; ${buyers.acknowledged.size} orders acknowledged`,
    );
  }
  return undefined;
}

/** Waits for that many answers. @returns false when they do not come */
async function answers(buyers: CrashBuyers, count: number): Promise<boolean> {
  const until = buyers.answeredSince + count;
  const giveUpAt = performance.now() + RECOVERY_MS;
  while (buyers.answeredSince < until) {
    if (performance.now() > giveUpAt) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** By the address that stands for their key. */
async function storedOrders(
  books: Books,
  products: readonly DrillProduct[],
): Promise<Map<string, StoredOrder[]>> {
  const byId = new Map<number, StoredOrder>();
  for (const product of products) {
    // A basket of two products is in the lists of both.
    for (const order of (await books.checkStock(product)).orders) byId.set(order.id, order);
  }
  const byEmail = new Map<string, StoredOrder[]>();
  for (const order of byId.values()) {
    const email = order.customer_email ?? '';
    byEmail.set(email, [...(byEmail.get(email) ?? []), order]);
  }
  return byEmail;
}

async function account(
  { buyers, books, verdict }: Omit<Scene, 'site'> & { books: Books },
  stored: ReadonlyMap<string, StoredOrder[]>,
): Promise<void> {
  const { acknowledged, unsettled, odd, retries } = buyers;
  verdict.figures['acknowledged'] = acknowledged.size;
  verdict.figures['lost'] = 0;
  verdict.figures['doubled'] = 0;
  for (const [key, { id, status, version }] of acknowledged) {
    const orders = stored.get(emailOf(key)) ?? [];
    if (orders.length > 1) {
      verdict.count('doubled');
      verdict.breach(NOTHING_DOUBLED, `${orders.length} orders for the key ${key}`);
    }
    const kept = orders.find((order) => order.id === id);
    if (kept !== undefined && kept.status === status && kept.version === version) continue;
    verdict.count('lost');
    const found = kept === undefined ? 'not there' : `${kept.status} in version ${kept.version}`;
    verdict.breach(NOTHING_LOST, `order ${id} was ${status} in version ${version}, and is ${found}`);
  }
  for (const key of unsettled.keys()) verdict.breach(ALL_SETTLED, `the key ${key} was never answered`);
  for (const email of stored.keys()) {
    const known = acknowledged.has(email.split('@')[0] ?? '');
    verdict.expect(ALL_SETTLED, known, () => `an order of ${email} is stored that nobody was told of`);
  }
  for (const answer of odd) verdict.breach(LEGAL_ANSWERS, answer);
  verdict.figures['tried again'] = retries;
  await books.checkDrift();
  await books.close(false);
}
