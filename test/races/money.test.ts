import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sweep, useExpiringService } from '../support/expiry.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { isTold, mustShow, perform, type Shown, shownMoney } from '../support/money-acts.ts';
import { type Account, type Act, act, newAccount } from '../support/money-oracle.ts';
import { permutationsOf } from '../support/payment-oracle.ts';
import { together } from '../support/race.ts';
import type { TestService } from '../support/service.ts';

/** Four pieces at 10.00. */
const TOTAL = 4000;

const WHOLE: readonly Act[] = [
  { name: 'paid', kind: 'captured', cents: TOTAL },
  { name: 'half paid', kind: 'captured', cents: TOTAL / 2 },
  { name: 'all back', kind: 'refunded', cents: TOTAL },
  { name: 'half back', kind: 'refunded', cents: TOTAL / 2 },
  { name: 'failed', kind: 'failed' },
  { name: 'paid by hand', kind: 'pay' },
  { name: 'shipped', kind: 'ship' },
  { name: 'canceled', kind: 'cancel' },
  { name: 'half recorded', kind: 'record', cents: TOTAL / 2 },
  { name: 'half given back', kind: 'give back', cents: TOTAL / 2 },
];
const ACTS: readonly Act[] = [
  ...WHOLE,
  { name: 'paid too much', kind: 'captured', cents: TOTAL + 1 },
  { name: 'paid, no amount', kind: 'captured' },
  { name: 'back, no amount', kind: 'refunded' },
  { name: 'expired', kind: 'expire' },
];

/** Orders of the whole total, a few of each product so that they do not all wait for one row. */
async function placeOrders(service: TestService, count: number): Promise<number[]> {
  const products = await Promise.all(
    Array.from({ length: 8 }, async () => (await service.createProduct({ price: 10, stock: 4 * count })).id),
  );
  return together(
    count,
    async (n) => (await service.placeOrder(products[n % products.length] ?? 0, 4)).id,
    40,
  );
}

test('200 orders, each attacked by 8 callers at once: every sum is that of what was taken, and no difference is untold', async () => {
  const service = await useExpiringService();
  const ids = await placeOrders(service, 200);
  const expected = new Map<number, { came: number; wentBack: number; isPaidByHand: boolean }>();
  await together(
    200,
    async (n) => {
      const id = ids[n] ?? 0;
      // Of each order another eight: it gets them in one moment, the events twice.
      const eight = Array.from(
        { length: 8 },
        (_, caller) => WHOLE[(n * 3 + caller * (1 + (n % 5))) % WHOLE.length],
      );
      const acts = eight.filter((each) => each !== undefined);
      const said = await Promise.all(
        acts.map((each, caller) => perform(service, id, each, { eventId: `${id}-${caller}`, deliveries: 2 })),
      );
      // An event counts in any case, what a person does where it was not refused.
      const sum = (event: Act['kind'], byHand: Act['kind']) =>
        acts.reduce((cents, each, at) => {
          const counts = each.kind === event || (each.kind === byHand && said[at] === 'done');
          return cents + (counts ? (each.cents ?? 0) : 0);
        }, 0);
      const isPaidByHand = acts.some(({ kind }, at) => kind === 'pay' && said[at] === 'done');
      expected.set(id, {
        came: sum('captured', 'record'),
        wentBack: sum('refunded', 'give back'),
        isPaidByHand,
      });
      expect(said.filter((word) => !/^[a-z_]+$/.test(word))).toEqual([]);
    },
    10,
  );
  const shown = await shownMoney(service, ids);
  expect(shown.size).toBe(200);
  for (const [id, { isPaidByHand, ...sums }] of expected) {
    const order = shown.get(id);
    expect(order, `order ${id}`).toMatchObject(sums);
    expect(isTold(order as Shown, TOTAL, isPaidByHand), `order ${id}: ${JSON.stringify(order)}`).toBe(true);
  }
  const statuses = [...shown.values()].map(({ status }) => status);
  // A race that always ends the same way is none.
  expect(new Set(statuses).size).toBeGreaterThan(2);
  await expectStockAddsUp(service.database);
});

const batches = fc.array(fc.array(fc.constantFrom(...ACTS), { minLength: 1, maxLength: 3 }), {
  minLength: 2,
  maxLength: 6,
});

test('40 orders, each through up to 6 batches of up to 3 acts at once: each batch ends as some order of its acts would', async () => {
  const service = await useExpiringService();
  let run = 0;
  const property = fc.asyncProperty(batches, async (sequence) => {
    const [id = 0] = await placeOrders(service, 1);
    run += 1;
    // What it can be: acts that met may leave the same sums in two ways.
    let accounts = [newAccount(TOTAL)];
    for (const [turn, batch] of sequence.entries()) {
      const idOf = (at: number) => ({ eventId: `model-${run}-${turn}-${at}`, deliveries: 1 + (at % 2) });
      const said = await Promise.all(batch.map((each, at) => perform(service, id, each, idOf(at))));
      // A sweep passes over an order that another transaction holds.
      await sweep(service);
      const shown = (await shownMoney(service, [id])).get(id);
      const orders = permutationsOf([...batch.keys()]);
      const legal = accounts.flatMap((account) => orders.map((order) => inOrder(account, batch, order)));
      const found = legal.filter((one) => isLike(one, { said, shown }));
      const story = `${batch.map(({ name }) => name).join(' | ')}: ${said.join(' | ')}, ${JSON.stringify(shown)}`;
      expect(found, `${story}, but legal is ${JSON.stringify(legal)}`).not.toEqual([]);
      accounts = found.map(({ account }) => account);
      // A repeat of an event that came before changes nothing.
      const repeated = batch.findIndex(isEvent);
      const again =
        repeated < 0 ? 'known' : await perform(service, id, batch[repeated] as Act, idOf(repeated));
      expect(again).toBe('known');
      expect((await shownMoney(service, [id])).get(id)).toEqual(shown);
    }
  });
  await fc.assert(property, { numRuns: 40 });
  await expectStockAddsUp(service.database);
});

const isEvent = ({ kind }: Act) => kind === 'captured' || kind === 'refunded' || kind === 'failed';

interface Ending {
  account: Account;
  said: string[];
}

/** What becomes of an account, and what each act says, when they come in this order. */
function inOrder(start: Account, batch: readonly Act[], order: readonly number[]): Ending {
  const said = batch.map(() => '');
  const account = order.reduce((before, at) => {
    const next = act(before, batch[at] as Act);
    said[at] = next.said;
    return next.account;
  }, start);
  return { account, said };
}

function isLike(
  legal: Ending,
  { said, shown }: { said: readonly string[]; shown: Shown | undefined },
): boolean {
  const { account } = legal;
  const must = mustShow(account);
  const isSaid = said.every((word, at) => {
    const right = legal.said[at];
    // People are not told of a review, and time says nothing.
    if (word === 'time') return true;
    return word === 'done' ? right !== 'refused' : word === right;
  });
  return isSaid && isSame(must, shown);
}

function isSame(a: Shown, b: Shown | undefined): boolean {
  const { status, came, wentBack, isDue, isOpen } = a;
  return (
    status === b?.status &&
    came === b.came &&
    wentBack === b.wentBack &&
    isDue === b.isDue &&
    isOpen === b.isOpen
  );
}
