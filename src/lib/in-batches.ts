/**
 * Runs a bounded step until it handles fewer rows than its bound, each step in a transaction of its own. So one run
 * deletes every old row, however many there are.
 * @returns the number of rows that all steps handled
 */
export async function inBatches(
  step: (limit: number) => Promise<number>,
  limit: number,
  isStopping: () => boolean,
): Promise<number> {
  let done = 0;
  let last: number;
  do {
    last = await step(limit);
    done += last;
  } while (last >= limit && !isStopping());
  return done;
}
