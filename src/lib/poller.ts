/** A background loop: runs `once` every `intervalMs`, never twice at a time, until it is stopped. */
export interface Poller {
  /** Ends the loop and waits for a run that is under way. */
  stop(): Promise<void>;
}

/**
 * Starts a background loop. `once` is the unit that tests call directly; its failure is reported and the loop goes on,
 * because a database that is away for a moment must not end housekeeping for good.
 */
export function startPoller(
  once: () => Promise<unknown>,
  intervalMs: number,
  onError: (error: unknown) => void,
): Poller {
  let running: Promise<unknown> = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    running = once()
      .catch(onError)
      .finally(() => {
        busy = false;
      });
  }, intervalMs);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
