/**
 * For expensive answers that may be a little old: callers at the same moment share one run of `work`, and its result,
 * good or bad, is used for `maxAgeMs` from the start of the run.
 */
export function shareAnswer<T>(work: () => Promise<T>, maxAgeMs: number): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let isRunning = false;
  let startedAt = 0;

  async function run(): Promise<T> {
    try {
      return await work();
    } finally {
      isRunning = false;
    }
  }

  return () => {
    if (answer === undefined || (!isRunning && performance.now() - startedAt >= maxAgeMs)) {
      startedAt = performance.now();
      isRunning = true;
      answer = run();
    }
    return answer;
  };
}
