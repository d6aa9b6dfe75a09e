export interface HalvingOptions<Call, Result> {
  /** Runs calls together: all of them, or none when it throws. */
  run: (calls: readonly Call[]) => Promise<Result[]>;
  /** Whether a failure may lie in one of the calls; otherwise it is everybody's, and is thrown. */
  mayBeOneCalls: (error: unknown) => boolean;
  /** The result of a call that stands alone with its failure. */
  refusalOf: (call: Call, error: unknown) => Result;
}

/**
 * Runs calls together. When they fail for a reason that may lie in one of them, they are run again in halves, until the
 * guilty one stands alone and the others are through.
 */
export async function runInHalves<Call, Result>(
  calls: readonly Call[],
  options: HalvingOptions<Call, Result>,
): Promise<Result[]> {
  try {
    return await options.run(calls);
  } catch (error) {
    const [only] = calls;
    if (only === undefined || !options.mayBeOneCalls(error)) throw error;
    if (calls.length === 1) return [options.refusalOf(only, error)];
    const middle = Math.ceil(calls.length / 2);
    return [
      ...(await runInHalves(calls.slice(0, middle), options)),
      ...(await runInHalves(calls.slice(middle), options)),
    ];
  }
}
