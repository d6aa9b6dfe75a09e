import { expect } from 'vitest';

import type { TestDatabase } from './database.ts';
import { expectStockAddsUp } from './invariants.ts';
import { type HttpAnswer, KeepAliveClient, startProcess } from './process.ts';
import { allKinds, type Kind, Traffic } from './traffic.ts';

/** SPEC: a database that was away is used again this soon after it is back. */
const BACK_WITHIN_MS = 5000;
/** SPEC: a request has its answer after 8 s at the latest. */
const DEADLINE_MS = 8000;
/**
 * How much later than promised the clients may see it, for each ms of the slowest answer of /healthz. That answer needs no
 * database, so it measures the machine: a busy one delays the others as well, and they wait for more than one process.
 */
const LATENESS = 10;
/** The longest that anything is waited for, when all is well within much less. */
const patience = { timeout: 60_000, interval: 10 };

export interface Fault {
  /** The kinds of calls that must feel it, or nothing is tested; the others may go on being served. */
  felt: readonly Kind[];
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

/**
 * Runs the service, as a user runs it, through a fault of its database, under callers of every kind. All the while, each
 * answer is legal and the process lives; afterwards all is served again, and calls without an answer are made again to
 * learn what became of them.
 * @returns a sentence for each promise about time that did not hold
 */
export async function endure(
  fault: Fault,
  env: Record<string, string>,
  database: Pick<TestDatabase, 'query'>,
): Promise<string[]> {
  const service = await startProcess({ DATABASE_POOL_SIZE: '4', ...env });
  const traffic = new Traffic(service.url);
  await traffic.start();
  await expect.poll(() => traffic.servedSince(0), patience).toEqual(allKinds);
  const begunAt = performance.now();
  await fault.begin();
  await expect
    .poll(() => traffic.refusedSince(begunAt), patience)
    .toEqual(expect.arrayContaining([...fault.felt]));
  await fault.end();
  const endedAt = performance.now();
  await expect.poll(() => traffic.servedSince(endedAt), patience).toEqual(allKinds);
  await traffic.stop();

  // The first of them say it all.
  expect(traffic.wrong.slice(0, 3)).toEqual([]);
  expect(new Set(traffic.probes)).toEqual(new Set([200]));
  await settle(traffic, service.url);
  await expectWhatWasTold(traffic, database);
  expect(await service.end('SIGTERM')).toMatchObject({ code: 0, signal: null });
  expect(service.stderr).toBe('');
  // Trouble of the database is a warning (40); an error is a fault of ours.
  expect(service.stdout.split('\n').filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  return lateAnswers(traffic, endedAt);
}

function lateAnswers(traffic: Traffic, endedAt: number): string[] {
  const latenessMs = LATENESS * traffic.slowestProbeMs;
  const backAfterMs = traffic.backAfterMs(endedAt);
  const { slowestMs } = traffic;
  return [
    ...(backAfterMs > BACK_WITHIN_MS + latenessMs
      ? [`all kinds of calls were served after ${backAfterMs} ms`]
      : []),
    ...(slowestMs > DEADLINE_MS + latenessMs ? [`a call was answered after ${slowestMs} ms`] : []),
  ];
}

/** Sends again each call without an answer, and every tenth of the others: a key has one answer for good. */
async function settle(traffic: Traffic, url: string): Promise<void> {
  const client = new KeepAliveClient(url);
  await settleKeys(traffic.orders, (key) => traffic.sendOrder(client, key));
  await settleKeys(traffic.products, (key) => traffic.sendProduct(client, key));
  for (const [orderId, acknowledged] of traffic.payments) {
    if (!acknowledged) expect((await traffic.sendPayment(client, orderId)).status).toBe(200);
  }
  client.close();
}

async function settleKeys(
  ids: ReadonlyMap<string, number | undefined>,
  send: (key: string) => Promise<HttpAnswer>,
): Promise<void> {
  for (const [index, [key, told]] of [...ids].entries()) {
    if (told !== undefined && index % 10 > 0) continue;
    const [first, second] = [await send(key), await send(key)];
    expect([first.status, second.status, second.body.id]).toEqual([201, 201, first.body.id]);
    expect([undefined, first.body.id]).toContain(told);
  }
}

/** One order a key, one product a key, one payment an order, none besides, and the stock adds up. */
async function expectWhatWasTold(traffic: Traffic, database: Pick<TestDatabase, 'query'>): Promise<void> {
  const idsOf = async (sql: string) => {
    const rows = await database.query<{ id: string }>(sql);
    return inOrder(rows.map(({ id }) => Number(id)));
  };
  expect(await idsOf('select id from orders')).toEqual(inOrder(traffic.orders.values()));
  expect(await idsOf("select id from products where sku <> 'SOLD'")).toEqual(
    inOrder(traffic.products.values()),
  );
  expect(await idsOf("select aggregate_id as id from events where type = 'order.paid'")).toEqual(
    inOrder(traffic.payments.keys()),
  );
  await expectStockAddsUp(database);
}

function inOrder(ids: Iterable<number | undefined>): (number | undefined)[] {
  return [...ids].toSorted((a = 0, b = 0) => a - b);
}
