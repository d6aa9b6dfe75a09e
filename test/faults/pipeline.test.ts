import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';

import { isConnectionLoss } from '../../src/db/pg-errors.ts';
import { executeLast } from '../../src/db/driver/pipeline.ts';
import { inTransaction } from '../../src/db/transaction.ts';
import type { Tx } from '../../src/db/types.ts';
import { setForDatabase } from '../support/baskets.ts';
import { type StatementFault, FaultProxy } from '../support/fault-proxy.ts';
import { AlteringProxy, insert, type Lane, useLane } from '../support/lane.ts';

test('3 transactions at once: each begins before the one before it is answered, and never 3 are in the pipe', async () => {
  const lane = await useLane();
  // So that a COMMIT takes its time, as where a disk is slow.
  await lane.database.query(`
    create function take_time() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return null; end $$;
    create constraint trigger slow_commit after insert on log
      deferrable initially deferred for each row execute function take_time()`);
  await Promise.all(['a', 'b', 'c'].map((name) => lane.write(name)));
  expect(lane.seen).toEqual([
    'a begins',
    'b begins',
    'a is answered',
    'c begins',
    'b is answered',
    'c is answered',
  ]);
  expect(await lane.stored()).toEqual({ a: 2, b: 2, c: 2 });
});

/** What a transaction may come to, and the error that its caller gets. */
const ends = {
  commits: /^stored$/,
  'fails in its last statement': /log_name_allowed/,
  'fails in an earlier statement': /division by zero/,
  'gives up': /gave up/,
  'swallows an error and goes on': /current transaction is aborted/,
  'swallows an error and commits': /COMMIT answered ROLLBACK/,
  'writes after its last statement': /COMMIT of this transaction has been sent/,
} as const;

type End = keyof typeof ends;

const failing = (tx: Tx) => sql`select 1 / 0`.execute(tx);

async function runTo(end: End, name: string, lane: Lane): Promise<void> {
  switch (end) {
    case 'commits':
      return lane.write(name);
    case 'fails in an earlier statement':
      return lane.write(name, failing);
    case 'gives up':
      return lane.write(name, () => Promise.reject(new Error('gave up')));
    case 'swallows an error and goes on':
      return lane.write(name, (tx) => failing(tx).catch(() => undefined));
    case 'fails in its last statement':
    case 'swallows an error and commits':
    case 'writes after its last statement':
    default:
      return inTransaction(lane.own.lane, (tx) => endings[end](tx, name));
  }
}

const endings = {
  'fails in its last statement': async (tx: Tx, name: string) => {
    await insert(name).execute(tx);
    await executeLast(tx, insert('forbidden').compile(tx));
  },
  'swallows an error and commits': async (tx: Tx, name: string) => {
    await insert(name).execute(tx);
    await failing(tx).catch(() => undefined);
  },
  'writes after its last statement': async (tx: Tx, name: string) => {
    await executeLast(tx, insert(name).compile(tx));
    await insert(name).execute(tx);
  },
};

test('transactions of every end follow each other in any order: those that commit are stored whole, no other leaves a row', async () => {
  const lane = await useLane();
  const kinds = Object.keys(ends) as End[];
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 12 }), async (script) => {
      await lane.database.query('truncate log');
      round++;
      const names = script.map((_, n) => `${round}-${n}`);
      const results = await Promise.allSettled(script.map((end, n) => runTo(end, names[n] as string, lane)));
      const expected: Record<string, number> = {};
      for (const [n, end] of script.entries()) {
        if (end === 'commits') expected[names[n] as string] = 2;
        // Its COMMIT was sent before it went wrong, so what it wrote until then is stored.
        if (end === 'writes after its last statement') expected[names[n] as string] = 1;
        const result = results[n] as PromiseSettledResult<void>;
        expect(result.status === 'fulfilled' ? 'stored' : String(result.reason)).toMatch(ends[end]);
      }
      expect(await lane.stored()).toEqual(expected);
    }),
    { numRuns: 25 },
  );
});

const cuts: [StatementFault, when: string, other: 'waits' | 'has begun'][] = [
  ['cut-before', 'before COMMIT arrives', 'waits'],
  ['cut-after', 'when COMMIT is processed and not answered', 'waits'],
  ['cut-before-with-next', 'before COMMIT arrives', 'has begun'],
  ['cut-after-with-next', 'when COMMIT is processed and not answered', 'has begun'],
];

test.each(cuts)(
  '%s, 10 times: the connection is lost %s, and another transaction %s: the first is stored once, the other as answered',
  async (fault, _when, other) => {
    const { proxy, lane } = await useProxiedLane();
    for (let round = 0; round < 10; round++) {
      const [first, second, third] = [`first ${round}`, `second ${round}`, `third ${round}`];
      proxy.failCommits(fault);
      const answers = await Promise.allSettled([lane.write(first), lane.write(second)]);
      expect(proxy.faultsLeft).toBe(0);
      expect(answers[0].status).toBe('fulfilled');
      expect(answers[1].status === 'fulfilled' || isConnectionLoss(answers[1].reason)).toBe(true);
      const hasBegun = lane.seen.indexOf(`${second} begins`) < lane.seen.indexOf(`${first} is answered`);
      expect(hasBegun || other === 'waits').toBe(true);
      await lane.write(third);
      const stored = await lane.stored();
      expect(stored[first]).toBe(2);
      expect(stored[second]).toBe(answers[1].status === 'fulfilled' ? 2 : undefined);
      expect(stored[third]).toBe(2);
    }
  },
);

test.each<[StatementFault, other: string, status: string]>([
  ['silence-with-next', 'has begun behind it, and fails with it', 'rejected'],
  ['silence', 'waits, and has a connection of its own', 'fulfilled'],
])(
  '%s: COMMIT is never answered, and another transaction %s: after 5 s the first is known to be stored, the lane goes on',
  async (fault, _other, status) => {
    const { proxy, lane } = await useProxiedLane();
    await lane.write('warm');
    proxy.failCommits(fault);
    const answers = await Promise.allSettled([lane.write('first'), lane.write('second')]);
    expect(answers.map((answer) => answer.status)).toEqual(['fulfilled', status]);
    await lane.write('third');
    const second = status === 'fulfilled' ? { second: 2 } : {};
    expect(await lane.stored()).toEqual({ warm: 2, first: 2, ...second, third: 2 });
  },
);

test('the database refuses connections, then takes them again: 5 transactions fail at once, 5 later ones are stored', async () => {
  const { proxy, lane } = await useProxiedLane();
  await lane.write('warm');
  await proxy.refuse();
  const refused = await Promise.allSettled(Array.from({ length: 5 }, (_, n) => lane.write(`refused ${n}`)));
  for (const answer of refused)
    expect(answer.status === 'rejected' && isConnectionLoss(answer.reason)).toBe(true);
  await proxy.restore();
  await Promise.all(Array.from({ length: 5 }, (_, n) => lane.write(`${n}`)));
  expect(await lane.stored()).toEqual({ warm: 2, 0: 2, 1: 2, 2: 2, 3: 2, 4: 2 });
});

test('a BEGIN that begins nothing: its statements are not taken for a transaction, nothing is stored, the next is unharmed', async () => {
  const proxy = new AlteringProxy();
  const lane = await useLane((url) => proxy.listen(url));
  await lane.write('warm');
  // Of the same length, and a syntax error: what a cancel that hits the BEGIN comes to.
  proxy.alterNext('begin isolation', 'bogus isolation');
  const alone = inTransaction(lane.own.lane, (tx) => executeLast(tx, insert('alone').compile(tx)));
  await expect(alone).rejects.toThrow('syntax error at or near "bogus"');
  proxy.alterNext('begin isolation', 'bogus isolation');
  const looked = inTransaction(lane.own.lane, async (tx) => {
    await sql`select from log for update`.execute(tx);
    await executeLast(tx, insert('without a lock').compile(tx));
  });
  const next = lane.write('next');
  await expect(looked).rejects.toThrow('syntax error at or near "bogus"');
  await next;
  expect(await lane.stored()).toEqual({ warm: 2, next: 2 });
});

test('a connection is ended as it opens, on the pool and on the lane: its caller is told, the next one is served', async () => {
  const proxy = new AlteringProxy();
  const lane = await useLane((url) => proxy.listen(url));
  proxy.endNextAsItOpens();
  await expect(sql`select 1`.execute(lane.own.db)).rejects.toSatisfy(isConnectionLoss);
  await sql`select 1`.execute(lane.own.db);
  proxy.endNextAsItOpens();
  await expect(lane.write('refused')).rejects.toSatisfy(isConnectionLoss);
  await lane.write('next');
  expect(await lane.stored()).toEqual({ next: 2 });
});

test('a transaction cannot get its id, as on a standby: lane and pool say why, and both recover on the same connections', async () => {
  const lane = await useLane();
  await setForDatabase(lane.database, 'search_path', 'public, pg_catalog');
  await lane.database.query(`
    create function public.pg_current_xact_id() returns xid8 language plpgsql as $$
    begin raise read_only_sql_transaction; end $$`);
  const pooled = () => inTransaction(lane.own.db, (tx) => insert('pooled').execute(tx));
  for (let round = 0; round < 3; round++) {
    await expect(pooled()).rejects.toMatchObject({ code: '25006' });
    await expect(lane.write('refused')).rejects.toMatchObject({ code: '25006' });
    // What needs no transaction is answered all the while.
    await sql`select 1`.execute(lane.own.db);
  }
  await lane.database.query('drop function public.pg_current_xact_id()');
  await pooled();
  await lane.write('laned');
  expect(await lane.stored()).toEqual({ pooled: 1, laned: 2 });
});

test('a close while 4 transactions wait for their turn: all are stored, and no connection is left open', async () => {
  const lane = await useLane();
  await lane.write('warm');
  const writing = Promise.all(['a', 'b', 'c', 'd'].map((name) => lane.write(name)));
  await Promise.all([writing, lane.own.close()]);
  expect(await lane.stored()).toEqual({ warm: 2, a: 2, b: 2, c: 2, d: 2 });
  const connections = () =>
    lane.database.query(
      `select from pg_stat_activity
        where datname = current_database() and application_name = 'orders-inventory'`,
    );
  await expect.poll(connections).toHaveLength(0);
});

async function useProxiedLane(): Promise<{ proxy: FaultProxy; lane: Lane }> {
  let proxy: FaultProxy | undefined;
  const lane = await useLane(async (url) => {
    proxy = await FaultProxy.start(url);
    return proxy.urlOf(url);
  });
  if (proxy === undefined) throw new Error('the lane goes past the proxy');
  const started = proxy;
  onTestFinished(() => started.close());
  return { proxy, lane };
}
