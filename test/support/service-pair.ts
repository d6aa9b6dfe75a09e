import { expect } from 'vitest';

import { createServiceClient } from '../../scripts/support/service-client.ts';
import { type Answer, type CallService, type TestServiceOptions, WEBHOOK_SECRET } from './calls.ts';
import { createTestDatabase } from './database.ts';
import { startProcess } from './process.ts';

/**
 * Two processes of the built service on one database, behind a balancer that gives them calls in turn. Whatever holds
 * for one instance must hold for them; nothing can be looked at from within.
 */
export async function startServicePair(options: TestServiceOptions) {
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
  const clients = pair.map(({ url }) => createServiceClient({ baseUrl: url, apiKey: undefined }));
  const call: CallService = async (method, url, body, headers = {}) => {
    // In turn: whoever is asked goes to the end of the line.
    const client = clients.shift() as (typeof clients)[number];
    clients.push(client);
    const answer = await client.call<Answer['body']>(String(method), url, { body, headers });
    return { ...answer, headers: Object.fromEntries(answer.headers) };
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
