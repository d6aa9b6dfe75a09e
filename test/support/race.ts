import { Client } from 'pg';
import { expect, onTestFinished } from 'vitest';

import type { CallService, TestServiceOptions } from './calls.ts';
import { actionsOf, type Answer, type TestService, useTestService } from './service.ts';

export { together } from '../../scripts/support/together.ts';

/**
 * A service for one test whose callers repeat a call that PostgreSQL refused for its time alone, as the contract has them
 * do: on a slow or busy machine, a lock can be held for longer than the 1 s that a statement waits for it, or a statement
 * can take longer than its 3 s. Nothing was done then. Any other 503 is the answer.
 */
export async function useRacingService(options: TestServiceOptions = {}): Promise<TestService> {
  const service = await useTestService(options);
  const failures = recordFailures(service);
  const call: CallService = async (...request) => {
    for (;;) {
      const begin = failures.length;
      const answer = await service.call(...request);
      if (answer.status !== 503 || !failures.slice(begin).some((code) => TOO_LATE.has(code))) return answer;
    }
  };
  return { ...service, call, ...actionsOf(call) };
}

/** SQLSTATEs of lock_timeout, and of statement_timeout. */
const TOO_LATE = new Set(['55P03', '57014']);

/** How often each status was answered: `{ 201: 100, 409: 500 }`. */
export function tally(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/**
 * Makes a call until it is served, as the contract has callers do: a 503 says that nothing was done, and to try again.
 * On a slow or busy machine, a lock can be held for longer than the 1 s that a statement waits for it.
 * @param refusals takes each 503, for the test to count
 */
export async function untilServed(call: () => Promise<Answer>, refusals: Answer[]): Promise<Answer> {
  for (;;) {
    const answer = await call();
    if (answer.status !== 503) return answer;
    expect(answer.headers['retry-after']).toBe('1');
    refusals.push(answer);
  }
}

/**
 * No statement failed, unless it waited for longer than the 1 s that it may wait for a lock, or took longer than its 3 s:
 * a slow or busy machine can make it so. Only for such a failure is a call refused, and then served.
 * @param failures of `recordFailures`
 */
export function expectOnlyLateRefusals(failures: readonly string[], refusals: readonly Answer[]): void {
  expect(failures.filter((code) => !TOO_LATE.has(code))).toEqual([]);
  const withoutReason = failures.length === 0 ? refusals : [];
  expect(withoutReason).toEqual([]);
}

/** Type and version of every event of an order, oldest first. */
export async function eventsOf(service: TestService, orderId: number): Promise<string[]> {
  const rows = await service.database.query<{ type: string; aggregate_version: string }>(
    `select type, aggregate_version from events
      where aggregate_type = 'order' and aggregate_id = $1 and type like 'order.%' order by id`,
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

/** A hint to other instances (db/commit-signal.ts). It goes out on its own, at a moment that no call chooses. */
const HINT = /^(notify|listen) /;

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
        if (!HINT.test(text)) observe({ client: this, sent, text, values });
      }
      return sent;
    },
  });
  onTestFinished(() => {
    if (original !== undefined) Object.defineProperty(Client.prototype, 'query', original);
  });
}

/** SQLSTATEs of the statements that fail from now on, also of those that the service retries. */
export function recordFailures(service: TestService): string[] {
  const failures: string[] = [];
  observeStatements(service, ({ sent }) => {
    sent.catch((error: { code?: string }) => failures.push(error.code ?? 'no SQLSTATE'));
  });
  return failures;
}
