import type pg from 'pg';
import { Gauge, type Registry } from 'prom-client';

/** The counts that a pool keeps. */
export type PoolCounts = Pick<pg.Pool, 'totalCount' | 'idleCount' | 'waitingCount'>;

/**
 * Shows how much of each pool is in use: calls that wait for a connection say that it is too small, or the database slow.
 * Call it before any metric that asks the database itself, or a scrape finds its own questions waiting.
 */
export function showPoolUse(pools: Readonly<Record<string, PoolCounts>>, registry: Registry): void {
  const registers = [registry];
  const connections = new Gauge({
    name: 'db_pool_connections',
    help: 'Open connections of each pool, busy or idle; orders, readiness and audits have one more each',
    labelNames: ['pool', 'state'] as const,
    registers,
    collect() {
      for (const [pool, { totalCount, idleCount }] of Object.entries(pools)) {
        connections.set({ pool, state: 'busy' }, totalCount - idleCount);
        connections.set({ pool, state: 'idle' }, idleCount);
      }
    },
  });
  const waiting = new Gauge({
    name: 'db_pool_waiting',
    help: 'Calls that wait for a connection of the pool',
    labelNames: ['pool'] as const,
    registers,
    collect() {
      for (const [pool, { waitingCount, idleCount }] of Object.entries(pools)) {
        // A call that has just asked is handed an idle one in the next moment.
        waiting.set({ pool }, Math.max(0, waitingCount - idleCount));
      }
    },
  });
}
