/** A background loop: runs `once` every `everyMs`, never twice at a time, until it is stopped. */
export interface Poller {
  /** Ends the loop and waits for a run that is under way. */
  stop(): Promise<void>;
}

export interface PollerOptions {
  everyMs: number;
  /** Also run at once; by default, the first run comes after the first interval. */
  atOnce?: boolean;
  /** The interval after a failed run; by default, the usual one. */
  retryMs?: number;
  onError: (error: unknown) => void;
}

/**
 * Starts a background loop. `once` is the unit that tests call directly; its failure is reported and the loop goes on,
 * because a database that is away for a moment must not end housekeeping for good. A run of many steps checks
 * `isStopping` between them.
 */
export function startPoller(
  once: (isStopping: () => boolean) => Promise<unknown>,
  { everyMs, atOnce = false, retryMs = everyMs, onError }: PollerOptions,
): Poller {
  let stopping = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  async function run(): Promise<number> {
    try {
      await once(() => stopping);
      return everyMs;
    } catch (error) {
      onError(error);
      return retryMs;
    }
  }

  async function runAndGoOn(): Promise<void> {
    next(await run());
  }

  function next(afterMs: number): void {
    if (stopping) return;
    timer = setTimeout(() => {
      running = runAndGoOn();
    }, afterMs);
    timer.unref();
  }

  next(atOnce ? 0 : everyMs);
  return {
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await running;
    },
  };
}
