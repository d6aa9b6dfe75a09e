import { Client } from 'pg';
import { onTestFinished } from 'vitest';

import { type Answer, startTestService, type TestService, type TestServiceOptions } from './service.ts';

/** A service for one test, closed when it ends. */
export async function useTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const service = await startTestService(options);
  onTestFinished(() => service.close());
  return service;
}

/**
 * Calls that need a pooled connection each: more of them at once would race no harder, for a pool has 10, and on a busy
 * machine some would wait longer than the 5 s after which they are told to try again.
 */
const AT_ONCE = 100;

/** Makes `count` calls, `atOnce` of them at a time for as long as there are more, and waits for all of their answers. */
export async function together<T>(
  count: number,
  call: (index: number) => Promise<T>,
  atOnce: number = AT_ONCE,
): Promise<T[]> {
  const answers: T[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < count; index = next++) answers[index] = await call(index);
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, work));
  return answers;
}

/** How often each status was answered: `{ 201: 100, 409: 500 }`. */
export function tally(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Type and version of every event of an order, oldest first. */
export async function eventsOf(service: TestService, orderId: number): Promise<string[]> {
  const rows = await service.database.query<{ type: string; aggregate_version: string }>(
    `select type, aggregate_version from events
      where aggregate_type = 'order' and aggregate_id = $1 order by id`,
    [orderId],
  );
  return rows.map(({ type, aggregate_version }) => `${type} ${aggregate_version}`);
}

export interface Statement {
  /** The connection that it is sent on. */
  client: Client;
  text: string;
  values: unknown[];
  sent: Promise<unknown>;
}

/** Shows every statement that the service sends from now on, pooled or not; other connections have other databases. */
export function observeStatements(service: TestService, observe: (statement: Statement) => void): void {
  const databaseName = new URL(service.database.url).pathname.slice(1);
  const original = Object.getOwnPropertyDescriptor(Client.prototype, 'query');
  const send = original?.value as (this: Client, ...input: unknown[]) => Promise<unknown>;
  Object.assign(Client.prototype, {
    query(this: Client, ...input: [query: string | { text: string; values?: unknown[] }]) {
      const sent = send.apply(this, input);
      const [query] = input;
      if (this.database === databaseName && typeof sent?.then === 'function') {
        const { text, values = [] } = typeof query === 'string' ? { text: query } : query;
        observe({ client: this, sent, text, values });
      }
      return sent;
    },
  });
  onTestFinished(() => {
    if (original !== undefined) Object.defineProperty(Client.prototype, 'query', original);
  });
}
