import { expect, onTestFinished, test } from 'vitest';

import { useTestDatabase } from '../support/database.ts';
import { endure, type Fault } from '../support/endure.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { allKinds } from '../support/traffic.ts';

/*
 * What can become of the way to PostgreSQL: the service and its callers run through each of these.
 */
async function givenUp(proxy: FaultProxy): Promise<void> {
  await expect.poll(() => proxy.faultsLeft + proxy.silentLeft).toBe(0);
}

const faults: Record<string, (proxy: FaultProxy) => Fault> = {
  'refuses connections': (proxy) => ({
    felt: allKinds,
    begin: () => proxy.refuse(),
    end: () => proxy.restore(),
  }),
  'falls silent, and never says what became of the connections it had': (proxy) => ({
    felt: allKinds,
    begin: async () => proxy.fallSilent(),
    end: async () => proxy.healNewConnections(),
  }),
  'swallows the answers of 3 statements with locks': (proxy) => ({
    felt: ['place', 'edit'],
    async begin() {
      proxy.failNext(/nextval\('orders_id_seq'\)/, 'silence');
      proxy.failNext(/from "products" .* for update/, 'silence', 'silence');
    },
    end: () => givenUp(proxy),
  }),
  'swallows the answers of 3 COMMITs': (proxy) => ({
    // What became of them can be asked on another connection, so nobody is refused.
    felt: [],
    begin: async () => proxy.failCommits('silence', 'silence', 'silence'),
    end: () => givenUp(proxy),
  }),
};

test.each(Object.entries(faults))(
  'the way to PostgreSQL %s: every answer is legal or 503 in time, all is back within 5 s, each key has one order',
  async (_name, fault) => {
    const database = await useTestDatabase();
    const proxy = await FaultProxy.start(database.url);
    onTestFinished(() => proxy.close());
    expect(await endure(fault(proxy), { DATABASE_URL: proxy.urlOf(database.url) }, database)).toEqual([]);
  },
);
