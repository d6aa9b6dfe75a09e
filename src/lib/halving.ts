export interface HalvingOptions<Call, Result> {
  /** Runs calls together: all of them, or none when it throws. */
  run: (calls: readonly Call[]) => Promise<Result[]>;
  /** Whether a failure may lie in one of the calls, so that the others may do without it. */
  mayBeOneCalls: (error: unknown) => boolean;
  /** The result of a call that has failed. */
  refusalOf: (call: Call, error: unknown) => Result;
}

/**
 * Runs calls together. When they fail for a reason that may lie in one of them, they are run again in halves, until the
 * guilty one stands alone and the others are through. It never throws: when one half fails, the other may be stored.
 */
export async function runInHalves<Call, Result>(
  calls: readonly Call[],
  options: HalvingOptions<Call, Result>,
): Promise<Result[]> {
  try {
    return await options.run(calls);
  } catch (error) {
    if (calls.length <= 1 || !options.mayBeOneCalls(error)) {
      return calls.map((call) => options.refusalOf(call, error));
    }
    const middle = Math.ceil(calls.length / 2);
    return [
      ...(await runInHalves(calls.slice(0, middle), options)),
      ...(await runInHalves(calls.slice(middle), options)),
    ];
  }
}
