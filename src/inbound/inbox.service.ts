import { inTransaction } from '../db/transaction.ts';
import type { Db } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import type { Clock } from '../lib/clock.ts';
import { AppError } from '../lib/errors.ts';
import { inBatches } from '../lib/in-batches.ts';
import type { InboxMetrics } from './inbox.metrics.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import type { PaymentEvent, PaymentResult } from '../payments/payment-event.ts';
import type { PaymentService } from '../payments/payment.service.ts';
import { findInboundDelivery, listInboundDeliveries } from './inbox.repository.ts';
import type { InboundDelivery } from './inbox.schemas.ts';
import type { InboxFilter, Refusal } from './inbox.ts';
import { createInboxRecorder } from './inbox-recorder.ts';
import type { SignedMessage } from './provider.ts';
import {
  deleteOldRefusals,
  deleteRefusal,
  findRefusal,
  type StoredRefusal,
  updateRefusalReason,
  writeRefusals,
} from './inbound-delivery.repository.ts';
import { type SignatureScheme, webhookIdOf } from './webhook-signature.ts';

/**
 * What failed is kept long enough for a person to be back from a holiday, and in a number that a person can still work
 * through; at its largest (64 KiB each) 640 MB, as a rule a hundredth of that.
 */
const FAILED = { days: 30, rows: 10_000 };
/** Of unsigned deliveries, enough to see an attack: 4 MB at most. */
const UNVERIFIED = { days: 7, rows: 1000 };
/** Small enough that a purge never holds its locks for long. */
const PURGE_BATCH = 1000;
/** Between two purges of the poller, a flood may not store more than this without one. */
const PURGE_EVERY_ROWS = 500;

export type InboxService = ReturnType<typeof createInboxService>;

export interface InboxServiceDependencies {
  db: Db;
  lists: Db;
  reads: Db;
  clock: Clock;
  metrics: InboxMetrics;
  payments: Pick<PaymentService, 'apply'>;
}

/** Everything that came in: payment events that were accepted, and deliveries that were refused. */
export function createInboxService(dependencies: InboxServiceDependencies) {
  const { db, lists, reads, clock, metrics, payments } = dependencies;
  let storedSincePurge = 0;
  const purgeBatch = (limit: number) =>
    deleteOldRefusals(db, { failed: FAILED, unverified: UNVERIFIED, limit });
  const recorder = createInboxRecorder({
    clock,
    metrics,
    async store(refusals) {
      if (storedSincePurge >= PURGE_EVERY_ROWS) {
        // One batch, which is more than has come since: refusals wait for it.
        await purgeBatch(PURGE_BATCH);
        storedSincePurge = 0;
      }
      await inTransaction(db, (tx) => writeRefusals(tx, refusals));
      storedSincePurge += refusals.length;
    },
  });

  return {
    /** Remembers a delivery that had no effect; never waits, never fails. */
    keep: (refusal: Refusal): void => recorder.keep(refusal),
    /** Stores what waits for the database; also the unit of the background loop. */
    flush: () => recorder.flush(),
    /** Forgets all that is past its time. @returns how many */
    purge: (isStopping: () => boolean = () => false) => inBatches(purgeBatch, PURGE_BATCH, isStopping),

    async get(id: number): Promise<InboundDelivery> {
      // What this instance has answered a moment ago shall be found.
      await recorder.flush();
      return (await findInboundDelivery(reads, id)) ?? notFound();
    },

    async list(filter: InboxFilter, query: PageQuery): Promise<Page<InboundDelivery>> {
      await recorder.flush();
      const filters = { ...filter };
      const page = pageRequest(query, '-id', filters);
      return toPage(await listInboundDeliveries(lists, filter, page), page, filters);
    },

    /**
     * Applies a delivery that failed once more: `read` parses and checks it as if it came in now, and the identity of
     * the event is the gate, so a delivery of the provider's at the same moment makes no second effect.
     * @throws AppError inbound_delivery_not_found, inbound_delivery_not_failed, or why it fails again
     */
    async replay(
      id: number,
      read: (message: SignedMessage) => PaymentEvent,
      caller: Caller,
    ): Promise<PaymentResult> {
      await recorder.flush();
      const delivery = await findRefusal(reads, id);
      if (delivery === undefined || delivery.outcome !== 'failed') return notFailed(reads, id);
      try {
        const result = await payments.apply(read(toSigned(delivery)), caller);
        // It became the event, unless the event is known under an identity that only today's reading gives it.
        await deleteRefusal(db, id);
        return result;
      } catch (error) {
        if (error instanceof AppError && error.status < 500) {
          await updateRefusalReason(db, id, { reason: error.code, detail: error.message });
        }
        throw error;
      }
    },
  };
}

function toSigned({ identity, scheme, unsignedEventId, rawBody }: StoredRefusal): SignedMessage {
  return {
    rawBody,
    // inbound_deliveries_scheme_given and inbound_deliveries_scheme_known: a failed one has one of them.
    scheme: scheme as SignatureScheme,
    webhookId: webhookIdOf(identity),
    unsignedEventId: unsignedEventId ?? undefined,
  };
}

async function notFailed(db: Db, id: number): Promise<never> {
  const { outcome } = (await findInboundDelivery(db, id)) ?? notFound();
  throw new AppError(
    'inbound_delivery_not_failed',
    `Only an inbound delivery that failed can be replayed; this one is ${outcome}`,
  );
}

function notFound(): never {
  throw new AppError('inbound_delivery_not_found', 'Inbound delivery not found');
}
