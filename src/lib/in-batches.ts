/**
 * Runs a bounded step until it finds less than its bound, each step in a transaction of its own: what is old is gone
 * after one run, however much of it there is.
 * @returns how many the steps have done together
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
