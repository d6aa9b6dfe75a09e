import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import type { RequestContext } from '../idempotency/context.ts';
import { type Once, runOnce } from '../idempotency/run-once.tx.ts';
import { AppError } from '../lib/errors.ts';
import { inBatches } from '../lib/in-batches.ts';
import type { Resend } from './delivery.schemas.ts';
import { endpointNotFound } from './endpoint.ts';
import { findEndpoint } from './endpoint.repository.ts';
import * as resends from './resend.repository.ts';

/** Dead letters of one transaction. */
const BATCH = 1000;

export type ResendService = ReturnType<typeof createResendService>;

/** Sends dead letters again: a call writes a job, and the background works it off. */
export function createResendService({ db, reads }: { db: Db; reads: Db }) {
  return {
    /** @throws AppError endpoint_not_found, idempotency_key_reused */
    create(choice: resends.ResendChoice, { caller, key }: RequestContext): Promise<Once<Resend>> {
      return inTransaction(db, (tx) =>
        runOnce(tx, key, 202, async () => {
          const { endpoint_id } = choice;
          if (endpoint_id !== null && (await findEndpoint(tx, endpoint_id)) === undefined) endpointNotFound();
          return resends.insertResend(tx, choice, caller);
        }),
      );
    },

    async get(id: number): Promise<Resend> {
      return (await resends.findResend(reads, id)) ?? resendNotFound();
    },

    /** Goes on with the jobs that send dead letters again. Each batch is committed with the place where the next begins. */
    workOnce(isStopping: () => boolean = () => false): Promise<number> {
      return inBatches((limit) => inTransaction(db, (tx) => resendBatch(tx, limit)), BATCH, isStopping);
    },
  };
}

async function resendBatch(tx: Tx, limit: number): Promise<number> {
  const job = await resends.claimResend(tx);
  if (job === undefined) return 0;
  const ids = await resends.restartDeadLetters(tx, job, limit);
  const lastId = ids.length < limit ? undefined : Math.max(...ids);
  await resends.moveResend(tx, job, { resent: ids.length, lastId });
  // A job that is done says nothing of the next one.
  return limit;
}

function resendNotFound(): never {
  throw new AppError('resend_not_found', 'Resend not found');
}
