import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyRequest } from 'fastify';
import type pg from 'pg';

import { inBrokenTransaction } from './broken-transaction.ts';

export type PaymentFault = 'no-gate' | 'no-second-check' | 'by-state';

interface EventBody {
  event_type: string;
  event_id: string;
  order_id: number;
  amount: number;
}

/** As long as a call to the payment provider takes. */
const PROVIDER_MS = 20;

/** Applies a payment event as the service does, but for one fault. Nothing here checks a signature. */
export async function applyBroken(
  pool: pg.Pool,
  fault: PaymentFault,
  request: FastifyRequest,
): Promise<object> {
  const event = request.body as EventBody;
  const { event_type: cause, order_id: orderId } = event;
  const known = await pool.query('select from inbound_deliveries where identity = $1', [identityOf(event)]);
  if (known.rowCount !== 0) return { status: 'already_processed', order_id: orderId };
  const found = await pool.query<{ status: string }>('select status from orders where id = $1', [orderId]);
  const pending = found.rows[0]?.status === 'PENDING';
  // Many handlers ask the provider for details before they write.
  if (fault === 'no-second-check') await sleep(PROVIDER_MS);
  return inBrokenTransaction(pool, async (client) => {
    const isFirst = await remember(client, event);
    // The first fault: two that came together both go on here.
    if (!isFirst && fault !== 'no-gate') return { status: 'already_processed', order_id: orderId };
    // The third fault: two payments and one refund are an order that is canceled, and money that nobody knows of.
    if (fault === 'by-state') return decideByState(client, event);
    // The second fault: by now, the order may have expired.
    if (!pending && fault === 'no-second-check') return { status: 'review', order_id: orderId };
    const to = cause === 'payment.succeeded' ? 'PAID' : 'CANCELED';
    await moveOrder(client, orderId, to, cause);
    return { status: 'processed', order_id: orderId, new_status: to };
  });
}

const BY_STATE: Record<string, Record<string, 'PAID' | 'CANCELED'>> = {
  'payment.succeeded': { PENDING: 'PAID' },
  'payment.failed': { PENDING: 'CANCELED' },
  'payment.refunded': { PAID: 'CANCELED' },
};

/** Counts the money as it should, under the lock of the order, and then asks for nothing but its state. */
async function decideByState(client: pg.PoolClient, event: EventBody): Promise<object> {
  const { event_type: cause, order_id: orderId, amount } = event;
  const { rows } = await client.query<{ status: string }>(
    'select status from orders where id = $1 for update',
    [orderId],
  );
  const kind = { 'payment.succeeded': 'captured', 'payment.refunded': 'refunded' }[cause];
  if (kind !== undefined) {
    const column = kind === 'captured' ? 'amount_paid' : 'amount_refunded';
    await client.query(
      `with counted as (
         update orders set ${column} = ${column} + $2, version = version + 1 where id = $1
         returning amount_paid, amount_refunded
       )
       insert into payments (order_id, kind, amount, paid_after, refunded_after, provider, actor)
       select $1, $3, $2, amount_paid, amount_refunded, 'generic', 'broken' from counted`,
      [orderId, amount, kind],
    );
  }
  const to = BY_STATE[cause]?.[rows[0]?.status ?? ''];
  if (to === undefined) return { status: 'ignored', order_id: orderId };
  await moveOrder(client, orderId, to, cause);
  return { status: 'processed', order_id: orderId, new_status: to };
}

function identityOf({ event_id: eventId }: EventBody): string {
  return `event:${eventId}`;
}

/** @returns whether the event is new */
async function remember(client: pg.PoolClient, event: EventBody): Promise<boolean> {
  const { rowCount } = await client.query(
    `insert into inbound_deliveries (identity, event_type, order_id, scheme, outcome, raw_body, actor)
     values ($1, $2, $3, 'x-webhook-signature', 'processed', '', 'broken') on conflict do nothing`,
    [identityOf(event), event.event_type, event.order_id],
  );
  return rowCount === 1;
}

/** Moves an order, and gives its stock back when it is canceled, from any state. */
async function moveOrder(
  client: pg.PoolClient,
  orderId: number,
  to: 'PAID' | 'CANCELED',
  cause: string,
): Promise<void> {
  const { rows } = await client.query<{ version: string }>(
    'update orders set status = $2, version = version + 1, updated_at = now() where id = $1 returning version',
    [orderId, to],
  );
  if (to === 'CANCELED') await release(client, orderId);
  const payload = { order: {}, transition: { from: 'PENDING', to, cause, refund_due: false } };
  await client.query(
    `insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload)
     values ($1, 'order', $2, $3, 'broken', $4)`,
    [`order.${to.toLowerCase()}`, orderId, rows[0]?.version, JSON.stringify(payload)],
  );
}

async function release(client: pg.PoolClient, orderId: number): Promise<void> {
  await client.query(
    `with released as (
       update products p set reserved = p.reserved - i.quantity, version = version + 1
         from order_items i where i.order_id = $1 and p.id = i.product_id and p.reserved >= i.quantity
       returning p.id, i.quantity, p.on_hand, p.reserved
     )
     insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor)
     select id, 'released', -quantity, on_hand, reserved, $1, 'broken' from released
     on conflict on constraint stock_movements_effect_key do nothing`,
    [orderId],
  );
}
