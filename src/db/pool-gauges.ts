import type pg from 'pg';
import { Gauge, type Registry } from 'prom-client';

/** What a pool tells of itself. */
export type PoolCounts = Pick<pg.Pool, 'totalCount' | 'idleCount' | 'waitingCount'>;

/** Shows how much of the pool is in use: calls that wait for a connection say that it is too small, or the database slow. */
export function showPoolUse(pool: PoolCounts, registry: Registry): void {
  const registers = [registry];
  const connections = new Gauge({
    name: 'db_pool_connections',
    help: 'Open connections of the pool, busy or idle; orders are placed on one more, the lane, and audits on another',
    labelNames: ['state'] as const,
    registers,
    collect() {
      connections.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
      connections.set({ state: 'idle' }, pool.idleCount);
    },
  });
  const waiting = new Gauge({
    name: 'db_pool_waiting',
    help: 'Calls that wait for a connection of the pool',
    registers,
    collect() {
      // Whoever has just asked, such as this very scrape, is handed an idle one in the next moment.
      waiting.set(Math.max(0, pool.waitingCount - pool.idleCount));
    },
  });
}
