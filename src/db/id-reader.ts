import { setImmediate as nextTurn } from 'node:timers/promises';

import { createBatcher } from '../lib/batcher.ts';
import type { ReadyAnswer, ReadyRow } from '../lib/ready-answer.ts';

/**
 * Reads rows by id, many callers on one trip. Nothing is cached: a batch is drawn in the turn after its lane is
 * free and sent at once, so every caller gets a row that was read after it asked.
 *
 * A row is handed out as the JSON that its callers send, written once for all of a batch that asked for it.
 */
export interface IdReader {
  /** @throws AppError service_unavailable when too many callers wait, or the service is stopping */
  find(id: number): Promise<ReadyAnswer | undefined>;
  stop(): Promise<void>;
}

/** One trip for more would only make the first of them wait for the last. */
const MAX_BATCH = 200;
/** While one answer is worked through here, PostgreSQL is busy with the next. */
const LANES = 2;
/** A quarter of a second of reads at full speed. */
const MAX_QUEUE = 10_000;

export function createIdReader(
  findMany: (ids: readonly number[]) => Promise<readonly ReadyRow[]>,
  onBatch: (size: number, waitedMs: number) => void,
): IdReader {
  const batcher = createBatcher<number, ReadyAnswer | undefined>({
    async work(draw) {
      // Without this pause, the first of a hundred calls that come at once would have a trip to itself.
      await nextTurn();
      const ids = draw();
      const rows = await findMany([...new Set(ids)]);
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => byId.get(id));
    },
    maxBatch: MAX_BATCH,
    lanes: LANES,
    maxQueue: MAX_QUEUE,
    onBatch,
  });
  return { find: (id) => batcher.submit(id), stop: () => batcher.stop() };
}
