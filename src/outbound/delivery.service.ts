import { randomUUID } from 'node:crypto';

import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import type { RequestContext } from '../idempotency/context.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { inBatches } from '../lib/in-batches.ts';
import { type Page, type PageQuery, pageRequest, type Sort, toPage } from '../lib/page.ts';
import { PING } from './delivery-rules.ts';
import * as deliveries from './delivery.repository.ts';
import type { Delivery, DeliveryFilter } from './delivery.schemas.ts';
import { endpointNotFound, summaryOf } from './endpoint.ts';
import { lockEndpoint } from './endpoint.repository.ts';
import { bodyOf } from './fan-out.service.ts';

/** Rows of one transaction of housekeeping. */
const BATCH = 1000;
const PINGS_A_MINUTE = 10;

export type DeliveryService = ReturnType<typeof createDeliveryService>;

export interface DeliveryServiceDependencies {
  db: Db;
  lists: Db;
  reads: Db;
  /** Days that deliveries are kept after they arrived; 0 for ever. */
  retentionDays: number;
}

export function createDeliveryService({ db, lists, reads, retentionDays }: DeliveryServiceDependencies) {
  return {
    async list(filter: DeliveryFilter, query: PageQuery, sort: Sort): Promise<Page<Delivery>> {
      const filters = { ...filter };
      const page = pageRequest(query, sort, filters);
      return toPage(await deliveries.listDeliveries(lists, filter, page), page, filters);
    },

    async get(id: number): Promise<Delivery> {
      return (await deliveries.findDelivery(reads, id)) ?? deliveryNotFound();
    },

    /** @throws AppError delivery_not_found, delivery_pending */
    resend(id: number): Promise<Delivery> {
      return inTransaction(db, async (tx) => {
        if ((await deliveries.findDelivery(tx, id)) === undefined) deliveryNotFound();
        if (!(await deliveries.restartDelivery(tx, id))) {
          throw new AppError('delivery_pending', 'The delivery is not over yet; it is tried again by itself');
        }
        return (await deliveries.findDelivery(tx, id)) ?? deliveryNotFound();
      });
    },

    /** @throws AppError endpoint_not_found, too_many_pings */
    ping(endpointId: number, { caller }: RequestContext): Promise<Delivery> {
      return inTransaction(db, (tx) => sendPing(tx, endpointId, caller));
    },

    /** Deletes what arrived long ago, and what is left of deleted endpoints. */
    async purge(isStopping: () => boolean = () => false): Promise<number> {
      const orphans = await inBatches((limit) => deliveries.deleteOrphans(db, limit), BATCH, isStopping);
      if (!isStopping()) await deliveries.deleteEndpointRows(db);
      if (retentionDays === 0) return orphans;
      const old = await inBatches(
        (limit) => deliveries.deleteDelivered(db, retentionDays, limit),
        BATCH,
        isStopping,
      );
      return orphans + old;
    },
  };
}

async function sendPing(tx: Tx, endpointId: number, caller: Caller): Promise<Delivery> {
  // Under the lock of the endpoint, so that the count is exact.
  const { endpoint } = (await lockEndpoint(tx, endpointId)) ?? endpointNotFound();
  if ((await deliveries.countPings(tx, endpointId, PING)) >= PINGS_A_MINUTE) tooManyPings();
  const eventId = `ping_${randomUUID()}`;
  const body = bodyOf({
    id: eventId,
    type: PING,
    occurred_at: new Date().toISOString(),
    aggregate_type: 'webhook_endpoint',
    aggregate_id: endpointId,
    version: endpoint.version,
    actor: caller.actor,
    request_id: caller.requestId,
    data: { endpoint: summaryOf(endpoint) },
  });
  const id = await deliveries.insertPing(tx, { endpointId, eventId, eventType: PING, body });
  return (await deliveries.findDelivery(tx, id)) ?? deliveryNotFound();
}

function deliveryNotFound(): never {
  throw new AppError('delivery_not_found', 'Webhook delivery not found');
}

function tooManyPings(): never {
  throw new AppError('too_many_pings', `An endpoint gets ${PINGS_A_MINUTE} pings a minute at most`, {
    headers: { 'retry-after': '60' },
  });
}
