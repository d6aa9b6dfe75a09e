import { createBatcher } from '../lib/batcher.ts';

/**
 * Reads rows by id, many callers on one trip. Nothing is cached: a batch is drawn when its connection is free and sent
 * at once, so every caller gets a row that was read after it asked.
 */
export interface IdReader<Row> {
  /** @throws AppError service_unavailable when too many callers wait, or the service is stopping */
  find(id: number): Promise<Row | undefined>;
  stop(): Promise<void>;
}

/** One trip for more would only make the first of them wait for the last. */
const MAX_BATCH = 200;
/** While one answer is worked through here, PostgreSQL is busy with the next. */
const LANES = 2;
/** A quarter of a second of reads at full speed. */
const MAX_QUEUE = 10_000;

export function createIdReader<Row extends { id: number }>(
  findMany: (ids: readonly number[]) => Promise<readonly Row[]>,
  onBatch: (size: number, waitedMs: number) => void,
): IdReader<Row> {
  const batcher = createBatcher<number, Row | undefined>({
    async work(draw) {
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
