export interface HalvingOptions<Call, Result> {
  /** Runs calls together: all of them, or none when it throws. */
  run: (calls: readonly Call[]) => Promise<Result[]>;
  /** Whether one of the calls may have caused the failure, so that the others could succeed without it. */
  mayBeOneCalls: (error: unknown) => boolean;
  /** Makes the result of a call that failed. */
  refusalOf: (call: Call, error: unknown) => Result;
}

/**
 * Runs calls together. When they fail and one of them may be the cause, they are run again in halves, until the guilty
 * call is alone and the others have succeeded. It never throws: when one half fails, the other may be stored.
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
