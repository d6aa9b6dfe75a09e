import { Gauge, type Registry } from 'prom-client';

import type { Db } from '../db/types.ts';
import { createReading } from '../lib/reading.ts';
import { countBacklog } from './delivery.repository.ts';

/** A scrape waits no longer for the database; Prometheus itself gives up after 10 s, and then has no metric at all. */
const PATIENCE_MS = 1000;

/** Shows what waits to be delivered, as the database has it: every instance shows the same. */
export function showBacklog(db: Db, registry: Registry): void {
  const read = createReading(async () => ({ backlog: await countBacklog(db) }), PATIENCE_MS);
  const figures = [
    ['webhook_deliveries_pending', 'Deliveries that wait for their first or next try', 'pending'],
    ['webhook_dead_letters', 'Deliveries that were given up', 'dead'],
    [
      'webhook_outbox_lag_seconds',
      'Age of the oldest delivery that has not arrived and is not given up, 0 without one; paused endpoints count',
      'oldestSeconds',
    ],
  ] as const;
  for (const [name, help, figure] of figures) {
    const gauge = new Gauge({
      name,
      help: `${help}; the same in every instance`,
      registers: [registry],
      async collect() {
        const known = await read();
        if (known !== undefined) gauge.set(known.backlog[figure]);
      },
    });
    // Until there is a first reading, nothing is known; a gauge without labels would say 0.
    gauge.remove();
  }
}
