import pg from 'pg';
import { expect, onTestFinished } from 'vitest';

import { fingerprintOf } from '../../src/idempotency/fingerprint.ts';
import { AppError } from '../../src/lib/errors.ts';
import type { TestDatabase } from './database.ts';
import type { TestService } from './service.ts';

export interface Basket {
  /** Product id and quantity of each item. */
  items: [productId: number, quantity: number][];
  key?: string;
  email?: string;
}

/** What became of an order: its id when it was placed, how it was replayed, or with what it was refused. */
export type Fate =
  | { placed: number }
  | { replayed: number }
  | { refused: string; detail: string; retryAfter?: string };

export async function place(
  service: TestService,
  { items, key, email = 'a@example.com' }: Basket,
): Promise<Fate> {
  const order = {
    items: items.map(([productId, quantity]) => ({ productId, quantity })),
    customerEmail: email,
    expectedTotalCents: undefined,
  };
  const named = key && { scope: '', key, fingerprint: fingerprintOf('POST', '/orders', order) };
  try {
    const caller = { actor: 'anonymous', requestId: 'batch' };
    const { result, replayed } = await service.services.orders.place(order, {
      caller,
      key: named || undefined,
      ifMatch: undefined,
    });
    return replayed ? { replayed: result.id } : { placed: result.id };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const retryAfter = error.headers['retry-after'];
    const refused = { refused: error.code, detail: error.message };
    return retryAfter === undefined ? refused : { ...refused, retryAfter };
  }
}

/** That many orders of one piece of a product. */
export function copies(count: number, productId: number): Basket[] {
  return Array.from({ length: count }, () => ({ items: [[productId, 1]] }));
}

/** Calls of one tick are one batch, up to its limit: the first of them draws only when the tick is over. */
export function placeAtOnce(service: TestService, baskets: readonly Basket[]): Promise<Fate[]> {
  return Promise.all(baskets.map((basket) => place(service, basket)));
}

// What a fate is expected to be.
export const placed = { placed: expect.any(Number) };
export const refused = (code: string, detail = expect.any(String)) => ({ refused: code, detail });
export const busy = { refused: 'service_unavailable', detail: expect.any(String), retryAfter: '1' };

/** How many orders each transaction has created, the oldest first. */
export async function ordersByTransaction(database: TestDatabase): Promise<number[]> {
  const rows = await database.query<{ orders: number }>(
    `select count(*)::int as orders from events where type = 'order.created'
      group by transaction_id order by transaction_id`,
  );
  return rows.map(({ orders }) => orders);
}

/** A connection outside of the service, which does not know of its transactions. */
export async function connectForeign(database: TestDatabase): Promise<pg.Client> {
  const foreign = new pg.Client({ connectionString: database.url });
  await foreign.connect();
  onTestFinished(() => foreign.end());
  return foreign;
}

/** How many connections wait for a lock. */
export async function waitingForLock(database: TestDatabase): Promise<number> {
  const rows = await database.query(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.length;
}

/** A setting of the database, for connections that are opened from now on. */
export async function setForDatabase(database: TestDatabase, setting: string, value: string): Promise<void> {
  const name = new URL(database.url).pathname.slice(1);
  await database.query(`alter database ${name} set ${setting} to ${value}`);
}
