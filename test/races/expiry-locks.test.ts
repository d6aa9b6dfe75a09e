import { expect, test } from 'vitest';

import {
  busy,
  connectForeign,
  copies,
  place,
  placeAtOnce,
  placed,
  refused,
  setForDatabase,
  waitingForLock,
} from '../support/baskets.ts';
import { useTestDatabase } from '../support/database.ts';
import {
  expiredBy,
  letTimePass,
  placeOverdue,
  stockOf,
  sweep,
  useExpiringService,
} from '../support/expiry.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import {
  expectOnlyLateRefusals,
  observeStatements,
  recordFailures,
  tally,
  together,
  untilServed,
} from '../support/race.ts';
import type { Answer, TestService } from '../support/service.ts';

/*
 * A transaction that places orders holds products, and then needs the locks of overdue orders and of other products: every
 * other transaction takes them in the reverse order. So it must never wait for them.
 */

/**
 * Two instances on a database where a deadlock ends after 50 ms and a long wait after 1 s: by default, both take 1 s.
 * @returns and the SQLSTATEs of their statements that fail, also of those that are tried again
 */
async function twoInstances(): Promise<{ one: TestService; two: TestService; failures: string[] }> {
  const database = await useTestDatabase();
  await setForDatabase(database, 'deadlock_timeout', "'50ms'");
  const one = await useExpiringService({ database });
  const two = await useExpiringService({ database });
  const failures: string[] = [];
  observeStatements(one, ({ sent }) => {
    sent.catch((error: { code?: string }) => failures.push(error.code ?? 'no SQLSTATE'));
  });
  return { one, two, failures };
}

test('600 baskets [A,B], [B,A], [C,A], ... for 20 sets, overdue, canceled, paid and swept at two instances: no deadlock, no 5xx', async () => {
  const { one, two, failures } = await twoInstances();
  const products = await together(4, () => one.createProduct({ stock: 20 }));
  const refusals: Answer[] = [];
  const buy = async (turn: number) => {
    const at = turn % 2 === 0 ? one : two;
    // Two in a row, from any start and in either direction; a third now and then.
    const step = turn % 3 === 0 ? 1 : 3;
    const ids = [0, 1, ...(turn % 5 === 0 ? [2] : [])].map((n) => products[(turn + n * step) % 4]?.id);
    const items = ids.map((product_id) => ({ product_id, quantity: 1 }));
    const order = await untilServed(() => at.call('POST', '/orders', { items }), refusals);
    if (order.status === 201) await settle(at, turn, order.body.id, refusals);
    return order;
  };
  const answers = await together(600, buy, 40);
  // No deadlock. Forty buyers of four products queue: on a busy machine, some for longer than the 1 s that they may.
  expectOnlyLateRefusals(failures, refusals);
  const { 201: sold = 0, 409: short = 0 } = tally(answers);
  expect(sold + short).toBe(600);
  // Far more than there are sets: most of what was sold was released by an order that needed it.
  expect(sold).toBeGreaterThan(100);
  const counts = [await expiredBy(one), await expiredBy(two)];
  expect(counts.every(({ order = 0 }) => order > 0)).toBe(true);
  await expectStockAddsUp(one.database);
});

/** What becomes of an order: overdue mostly, so that the next buyer finds it. */
async function settle(at: TestService, turn: number, id: number, refusals: Answer[]): Promise<void> {
  const settled = async (call: () => Promise<Answer>) =>
    expect((await untilServed(call, refusals)).status).toBeLessThan(300);
  const pay = (type: string) => settled(() => at.pay({ event_type: `payment.${type}`, order_id: id }));
  if (turn % 7 === 0) return settled(() => at.call('DELETE', `/orders/${id}`));
  if (turn % 11 === 0) return pay('failed');
  await letTimePass(at, [id]);
  if (turn % 13 === 0) await pay('succeeded');
  if (turn % 17 === 0) await sweep(at);
}

test('30 overdue baskets [A,B], a buyer of A here and one of B there at once: both win each time, though each needs the basket', async () => {
  const { one, two, failures } = await twoInstances();
  await together(
    30,
    async () => {
      const [a, b] = await Promise.all([1, 1].map((stock) => one.createProduct({ stock })));
      await placeOverdue(one, 1, [a?.id ?? 0, 1], [b?.id ?? 0, 1]);
      const buyers = [place(one, { items: [[a?.id ?? 0, 1]] }), place(two, { items: [[b?.id ?? 0, 1]] })];
      expect(await Promise.all(buyers)).toEqual([placed, placed]);
    },
    3,
  );
  expect(failures).toEqual([]);
  await expectStockAddsUp(one.database);
});

test('the other product of an overdue basket is locked by another transaction: its buyer waits, other buyers do not, then it sells', async () => {
  const service = await useExpiringService();
  const [a, b, c] = await Promise.all([1, 1, 50].map((stock) => service.createProduct({ stock })));
  const ids = { a: a?.id ?? 0, b: b?.id ?? 0, c: c?.id ?? 0 };
  await placeOverdue(service, 1, [ids.a, 1], [ids.b, 1]);
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from products where id = $1 for update', [ids.b]);
  const waiting = placeAtOnce(service, [{ items: [[ids.a, 1]] }, ...copies(20, ids.c)]);
  await expect.poll(() => waitingForLock(service.database), { interval: 5 }).toBe(1);
  // The lane is free: what waits is a transaction of its own.
  expect(await placeAtOnce(service, copies(20, ids.c))).toEqual(Array(20).fill(placed));
  await foreign.query('commit');
  expect(await waiting).toEqual(Array(21).fill(placed));
  await expectStockAddsUp(service.database);
});

test('another transaction holds a product of the batch past lock_timeout: only its buyer gets 503, the overdue stock sells', async () => {
  const service = await useExpiringService();
  const [held, wanted] = await Promise.all([1, 5].map((stock) => service.createProduct({ stock })));
  await placeOverdue(service, 1, [wanted?.id ?? 0, 5]);
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from products where id = $1 for update', [held?.id]);
  const baskets = [...copies(1, held?.id ?? 0), ...copies(6, wanted?.id ?? 0)];
  const short = refused('insufficient_stock', 'Insufficient stock. Available: 0, Requested: 1');
  expect(await placeAtOnce(service, baskets)).toEqual([busy, ...Array(5).fill(placed), short]);
  await foreign.query('commit');
  await expectStockAddsUp(service.database);
});

test.each([
  ['gives it back', 'rollback', placed],
  [
    'pays it',
    `set local session_replication_role = replica; update orders set expires_at = now() + interval '1 minute'; commit`,
    refused('insufficient_stock'),
  ],
])(
  'another transaction holds the overdue order and %s: its buyer gets the answer that follows from that',
  async (_what, end, fate) => {
    const service = await useExpiringService();
    const { id } = await service.createProduct({ stock: 1 });
    const [order] = await placeOverdue(service, 1, [id, 1]);
    const foreign = await connectForeign(service.database);
    await foreign.query('begin');
    await foreign.query('select from orders where id = $1 for update', [order]);
    const waiting = place(service, { items: [[id, 1]] });
    await expect.poll(() => waitingForLock(service.database), { interval: 5 }).toBe(1);
    await foreign.query(end);
    expect(await waiting).toEqual(fate);
    await expectStockAddsUp(service.database);
  },
);

test('another transaction holds the overdue order past lock_timeout: 409 for its buyer, and the sweep leaves it out', async () => {
  const service = await useExpiringService();
  const { id } = await service.createProduct({ stock: 3 });
  const [order] = await placeOverdue(service, 3, [id, 1]);
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from orders where id = $1 for update', [order]);
  expect(await place(service, { items: [[id, 3]] })).toEqual(
    refused('insufficient_stock', 'Insufficient stock. Available: 2, Requested: 3'),
  );
  expect(await sweep(service)).toBe(0);
  await foreign.query('rollback');
  expect(await sweep(service)).toBe(1);
  expect(await stockOf(service, id)).toEqual({ stock: 3, reserved: 0, on_hand: 3 });
  await expectStockAddsUp(service.database);
});

test('another transaction holds an overdue order past lock_timeout: its 60 buyers get 409 after one wait, 60 of other overdue stock buy', async () => {
  const service = await useExpiringService();
  const [held, ...others] = await together(61, () => service.createProduct({ stock: 1 }));
  const [order] = await placeOverdue(service, 1, [held?.id ?? 0, 1]);
  const free = await together(60, (index) => placeOverdue(service, 1, [others[index]?.id ?? 0, 1]));
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from orders where id = $1 for update', [order]);
  // These are held too, for a moment: their buyers cannot have them at once, and wait on the same trip as the others.
  const passing = await connectForeign(service.database);
  await passing.query('begin');
  await passing.query('select from orders where id = any($1) for update', [free.flat()]);
  const failures = recordFailures(service);
  const waiting = placeAtOnce(service, [
    ...copies(60, held?.id ?? 0),
    ...others.flatMap(({ id }) => copies(1, id)),
  ]);
  await expect.poll(() => waitingForLock(service.database), { interval: 5 }).toBe(1);
  await passing.query('rollback');
  const short = refused('insufficient_stock', 'Insufficient stock. Available: 0, Requested: 1');
  expect(await waiting).toEqual([...Array(60).fill(short), ...Array(60).fill(placed)]);
  // One after the other, they would wait 60 times.
  expect(failures.length).toBeLessThan(6);
  await foreign.query('rollback');
  await expectStockAddsUp(service.database);
});

test('another transaction holds a product past the lock_timeout of the sweep: its 2 orders stay, the other 3 expire', async () => {
  const service = await useExpiringService();
  const [held, free] = await Promise.all([5, 5].map((stock) => service.createProduct({ stock })));
  const ids = { held: held?.id ?? 0, free: free?.id ?? 0 };
  await placeOverdue(service, 1, [ids.held, 1]);
  await placeOverdue(service, 1, [ids.free, 1], [ids.held, 1]);
  await placeOverdue(service, 3, [ids.free, 1]);
  const foreign = await connectForeign(service.database);
  await foreign.query('begin');
  await foreign.query('select from products where id = $1 for update', [ids.held]);
  expect(await sweep(service)).toBe(3);
  await foreign.query('commit');
  expect(await sweep(service)).toBe(2);
  expect(await stockOf(service, ids.free)).toEqual({ stock: 5, reserved: 0, on_hand: 5 });
  await expectStockAddsUp(service.database);
});
