import { Gauge, type Registry } from 'prom-client';

import type { Db } from '../db/types.ts';
import { createReading } from '../lib/reading.ts';
import { countFailed } from './inbound-delivery.repository.ts';

/** A scrape waits no longer for the database; Prometheus itself gives up after 10 s, and then has no metric at all. */
const PATIENCE_MS = 1000;

/** Every instance shows the same number, as the database has it. While the database is away, the last one stands. */
export function showFailed(db: Db, registry: Registry): void {
  const read = createReading(() => countFailed(db), PATIENCE_MS);
  const failed = new Gauge({
    name: 'webhook_inbox_failed',
    help: 'Signed deliveries in the inbox that failed and were not applied since',
    registers: [registry],
    async collect() {
      const known = await read();
      if (known !== undefined) failed.set(known);
    },
  });
  // It would begin at 0, which before the first reading nobody knows.
  failed.remove();
}
