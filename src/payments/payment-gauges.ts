import { Gauge, type Registry } from 'prom-client';

import type { Db } from '../db/types.ts';
import { createReading } from '../lib/reading.ts';
import { countOpenExceptions } from './payment-exception.repository.ts';
import { reviewReasons } from './payment-rules.ts';

/** A scrape waits no longer for the database; Prometheus itself gives up after 10 s, and then has no metric at all. */
const PATIENCE_MS = 1000;

/**
 * Shows the payments that wait for a person, as the database has it when it is asked: every instance shows the same. While the
 * database is away, the last figures stand; nobody can resolve anything then, either.
 */
export function showOpenExceptions(db: Db, registry: Registry): void {
  const read = createReading(async () => {
    const exceptions = await countOpenExceptions(db);
    return { exceptions, readAtMs: performance.now() };
  }, PATIENCE_MS);
  const registers = [registry];

  const open = new Gauge({
    name: 'payment_exceptions_open',
    help: 'Payments that wait for a person, by reason; the same in every instance',
    labelNames: ['reason'] as const,
    registers,
    async collect() {
      const known = await read();
      if (known === undefined) return;
      // A reason that nothing waits for any more must read 0, not what it was.
      for (const reason of Object.keys(reviewReasons)) open.set({ reason }, 0);
      for (const { reason, open: count } of known.exceptions) open.set({ reason }, count);
    },
  });
  const oldest = new Gauge({
    name: 'payment_exceptions_oldest_open_seconds',
    help: 'Age of the payment that has waited for a person the longest, 0 when none does',
    registers,
    async collect() {
      const known = await read();
      if (known === undefined) return;
      const sinceRead = (performance.now() - known.readAtMs) / 1000;
      oldest.set(Math.max(0, ...known.exceptions.map((e) => e.oldestSeconds + sinceRead)));
    },
  });
  // Until there is a first reading, nothing is known; a gauge without labels would say 0.
  oldest.remove();
}
