import { expect, inject, onTestFinished, test } from 'vitest';

import { createDatabase, type Database } from '../../src/db/database.ts';
import { inTransaction } from '../../src/db/transaction.ts';
import { useTestDatabase, type TestDatabase } from '../support/database.ts';
import { listenOnPort, received, StreamClient } from '../support/event-stream.ts';
import { useTestService } from '../support/service.ts';

test('a stream of one instance gets what another instance commits, also behind PgBouncer, where nothing can LISTEN', async () => {
  const database = await useTestDatabase();
  const [here, there] = [await useTestService({ database }), await useTestService({ database })];
  const stream = (await StreamClient.open(`${await listenOnPort(here)}/events/stream`)).read();
  const product = await there.createProduct();
  const orders = [await there.placeOrder(product.id, 1), await there.placeOrder(product.id, 1)];
  await received(stream, 'order.created', orders[1]?.id ?? 0);
  expect(stream.events.map(({ aggregate_id }) => aggregate_id)).toEqual([
    product.id,
    ...orders.map(({ id }) => id),
  ]);
  expect(here.own.commits.isListening()).toBe(inject('throughPgbouncer') !== true);
});

function open(database: TestDatabase): Database {
  const own = createDatabase({
    url: database.url,
    poolSize: 1,
    pgbouncer: false,
    onIdleError: () => undefined,
  });
  onTestFinished(() => own.close());
  return own;
}

const hintsOf = "application_name = 'orders-inventory-signal' and datname = current_database()";

test.skipIf(inject('throughPgbouncer') === true)(
  'a commit is heard in another instance, and again after the connection for hints was cut',
  async () => {
    const database = await useTestDatabase();
    const [hearing, committing] = [open(database), open(database)];
    let heard = 0;
    hearing.commits.listen(() => (heard += 1));
    await expect.poll(() => hearing.commits.isListening()).toBe(true);
    const isHeard = async () => {
      const before = heard;
      await inTransaction(committing.db, async () => undefined);
      await expect.poll(() => heard).toBeGreaterThan(before);
    };
    await isHeard();
    await database.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${hintsOf}`);
    // Both instances connect again: the one that hears by itself, the one that commits when it next has something to say.
    await expect
      .poll(async () => {
        const before = heard;
        await inTransaction(committing.db, async () => undefined);
        return hearing.commits.isListening() && committing.commits.isListening() && heard >= before;
      })
      .toBe(true);
    await isHeard();
  },
);

test.skipIf(inject('throughPgbouncer') === true)(
  'a transaction that is rolled back is no commit',
  async () => {
    const database = await useTestDatabase();
    const own = open(database);
    let heard = 0;
    own.commits.listen(() => (heard += 1));
    await expect.poll(() => own.commits.isListening()).toBe(true);
    // The connection itself was news, for what it may have missed.
    await expect.poll(() => heard).toBeGreaterThan(0);
    const before = heard;
    await expect(
      inTransaction(own.db, async () => {
        throw new Error('refused');
      }),
    ).rejects.toThrow('refused');
    expect(heard).toBe(before);
  },
);
