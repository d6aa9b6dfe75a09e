import { sql } from 'kysely';

import type { Tx } from '../db/types.ts';

/** A reader of the log with a place of its own in `event_consumers`. */
export type ConsumerName = 'webhooks';

/** Waits for a run of the consumer that is under way, and keeps others from beginning until the transaction ends. */
export async function lockConsumer(tx: Tx, name: ConsumerName): Promise<void> {
  await sql`select from event_consumers where name = ${name} for update`.execute(tx);
}

/** Lets the consumer go on with the events that are not committed yet, and leave out those before. */
export async function moveConsumerToEnd(tx: Tx, name: ConsumerName): Promise<void> {
  await sql`
    update event_consumers
       set epoch = (select max(epoch) from event_epochs),
           transaction_id = pg_snapshot_xmin(pg_current_snapshot()),
           event_id = 0
     where name = ${name}
  `.execute(tx);
}
