import { expect } from 'vitest';

import { type Answer, type CallService, toPayload, WEBHOOK_SECRET } from './calls.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { startProcess } from './process.ts';

interface PairOptions {
  database?: TestDatabase;
  poolSize?: number;
  webhookSecrets?: readonly string[];
  orderTtlMinutes?: number;
  /** What a process cannot be given: it has its own. */
  clock?: unknown;
  logger?: unknown;
}

/**
 * Two processes of the built service on one database, behind a balancer that gives them calls in turn. Whatever holds
 * for one instance must hold for them; nothing can be looked at from within.
 */
export async function startServicePair(options: PairOptions) {
  const { poolSize = 10, webhookSecrets = [WEBHOOK_SECRET], orderTtlMinutes = 0, clock, logger } = options;
  if (clock !== undefined || logger !== undefined || webhookSecrets.length !== 1) {
    throw new Error('a process takes settings only: it has its own clock and logger');
  }
  const database = options.database ?? (await createTestDatabase());
  const env = {
    DATABASE_URL: database.url,
    DATABASE_POOL_SIZE: String(poolSize),
    WEBHOOK_SECRET: webhookSecrets[0] ?? '',
    ORDER_TTL_MINUTES: String(orderTtlMinutes),
  };
  const pair = await Promise.all([startProcess(env), startProcess(env)]);
  let calls = 0;
  const call: CallService = (method, url, body, headers) => {
    calls += 1;
    return send(new URL(url, pair[calls % 2]?.url), { method, body, headers });
  };
  return {
    database,
    call,
    async close() {
      const exits = await Promise.all(pair.map((process_) => process_.end('SIGTERM')));
      expect(exits.map(({ code }) => code)).toEqual([0, 0]);
      if (options.database === undefined) await database.drop();
    },
  };
}

async function send(
  url: URL,
  {
    method,
    body,
    headers = {},
  }: { method: unknown; body: unknown; headers: Record<string, string> | undefined },
): Promise<Answer> {
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await fetch(url, {
    method: String(method),
    headers: { ...type, ...headers },
    body: body === undefined ? null : toPayload(body),
  });
  const text = await response.text();
  const answered = Object.fromEntries(response.headers);
  const isJson = String(answered['content-type']).includes('json');
  return {
    status: response.status,
    headers: answered,
    body: isJson && text !== '' ? JSON.parse(text) : undefined,
    text,
  };
}
