import { sql } from 'kysely';

import type { Db, Tx } from '../db/types.ts';
import type { Position } from './position.ts';

/** A reader of the log with a place of its own in `event_consumers`. */
export type ConsumerName = 'webhooks';

/** Waits for a run of the consumer that is under way, and keeps others from beginning until the transaction ends. */
export async function lockConsumer(tx: Tx, name: ConsumerName): Promise<void> {
  await sql`select from event_consumers where name = ${name} for update`.execute(tx);
}

/** The place of a consumer, which only moves forward. */
export async function findConsumer(db: Db, name: ConsumerName): Promise<Position | undefined> {
  const { rows } = await sql<Position>`
    select epoch, transaction_id::text as "transactionId", event_id as id from event_consumers where name = ${name}
  `.execute(db);
  return rows[0];
}

/** The place of a consumer, for the instance that runs it now; undefined while another one does. */
export async function claimConsumer(tx: Tx, name: ConsumerName): Promise<Position | undefined> {
  const { rows } = await sql<Position>`
    select epoch, transaction_id::text as "transactionId", event_id as id
      from event_consumers where name = ${name} for update skip locked
  `.execute(tx);
  return rows[0];
}

export async function moveConsumer(tx: Tx, name: ConsumerName, { epoch, transactionId, id }: Position) {
  await sql`
    update event_consumers
       set epoch = ${epoch}, transaction_id = ${transactionId}::xid8, event_id = ${id}
     where name = ${name}
  `.execute(tx);
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
