import pg from 'pg';
import { beforeAll, expect, test } from 'vitest';

import { readFeed } from '../../src/events/feed.repository.ts';
import { LOG_START, type Position } from '../../src/events/position.ts';
import { tamper } from '../support/audits.ts';
import { type PlanRow, workIn } from '../support/plans.ts';
import { observeStatements, type Statement } from '../support/race.ts';
import { useSharedService } from '../support/service.ts';

/** Enough that a plan that reads or sorts the rest of the log shows. */
const EVENTS = 100_000;
const PAGE = 100;

const service = useSharedService();
let middle: Position;
let end: Position;

beforeAll(async () => {
  await tamper(
    service.database,
    `insert into events (id, transaction_id, type, aggregate_type, aggregate_id, aggregate_version, actor, payload)
     select n, (n / 1000 + 1)::text::xid8, case when n % 1000 = 0 then 'rare' else 'order.paid' end, 'order', n, 1, 'test', '{}'
       from generate_series(1, ${EVENTS}) n`,
  );
  await service.database.query('vacuum analyze events');
  // Below every id that a transaction of the test server has: the first 700 are those of initdb.
  middle = { epoch: 1, transactionId: String(EVENTS / 2000), id: 0 };
  end = { epoch: 1, transactionId: String(EVENTS / 1000), id: EVENTS - 10 };
});

/** The rows that one step of the plan looks at, most of all of them, under the plans of both kinds of connections. */
async function rowsLookedAt(after: Position, types?: string[]): Promise<number> {
  const sent: Statement[] = [];
  observeStatements(service, (statement) => sent.push(statement));
  await readFeed(service.own.lists, after, { types, limit: PAGE });
  const { text, values = [] } = sent.find((statement) => statement.text.includes('epoch')) ?? {};
  const client = new pg.Client({ connectionString: service.database.url });
  await client.connect();
  try {
    const work = [];
    for (const settings of ['', 'set plan_cache_mode = force_generic_plan; set enable_seqscan = off']) {
      await client.query(settings);
      await client.query(`prepare reading as ${text}`);
      const literals = values.map((value) =>
        typeof value === 'string' || typeof value === 'number' ? pg.escapeLiteral(`${value}`) : 'null',
      );
      const { rows } = await client.query<PlanRow>(
        `explain (analyze, format json) execute reading(${literals.join()})`,
      );
      work.push(workIn(rows).rows);
      await client.query('deallocate reading');
    }
    return Math.max(...work);
  } finally {
    await client.end();
  }
}

test('a page of the feed looks at its own rows alone, at its start, in its middle and at its end', async () => {
  for (const after of [LOG_START, middle]) expect(await rowsLookedAt(after)).toBeLessThanOrEqual(2 * PAGE);
  expect(await rowsLookedAt(end)).toBeLessThanOrEqual(2 * PAGE);
});

test('a page of rare types looks at 5,000 events and leads on', async () => {
  expect(await rowsLookedAt(LOG_START, ['rare'])).toBeLessThanOrEqual(5000);
  const page = await readFeed(service.own.lists, LOG_START, { types: ['rare'], limit: PAGE });
  expect(page).toMatchObject({ isEnd: false, next: { id: 5000 } });
  expect(page.events.map(({ position }) => position.id)).toEqual([1000, 2000, 3000, 4000, 5000]);
});
