import { setTimeout as sleep } from 'node:timers/promises';

import closeWithGrace from 'close-with-grace';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** SPEC: exit within 10 s. What has not closed by then is cut off; PostgreSQL recovers from that by itself. */
const CLOSE_TIMEOUT_MS = 9500;

/** Under `npm start`, one Ctrl-C reaches this process from the terminal and again from npm, within milliseconds. */
const SAME_SIGNAL_MS = 1000;

/**
 * Closes the process on a signal (exit code 0) or on an uncaught error (exit code 1). A second signal, meant as one,
 * ends it at once.
 */
export function closeOnSignals(close: () => Promise<void>, onError: (error: unknown) => void): void {
  const grace = closeWithGrace(
    { delay: CLOSE_TIMEOUT_MS, logger: false, skip: [...SIGNALS] },
    async ({ err }) => {
      if (err !== undefined) onError(err);
      await close();
    },
  );
  let firstSignalAt: number | undefined;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (firstSignalAt === undefined) {
        firstSignalAt = Date.now();
        grace.close();
      } else if (Date.now() - firstSignalAt > SAME_SIGNAL_MS) {
        process.exit(1);
      }
    });
  }
}

/** What was opened, to be closed in reverse: each thing may still use what was opened before it. */
export class ClosingStack {
  readonly #closers: (() => Promise<unknown>)[] = [];

  /** @param withinMs what has not closed by then is left behind, for the process is about to end */
  add(close: () => Promise<unknown>, withinMs?: number): void {
    this.#closers.push(withinMs === undefined ? close : () => bounded(close(), withinMs));
  }

  /** Closes everything, also when some of it fails; the first failure is thrown at the end. */
  async closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}

async function bounded(work: Promise<unknown>, ms: number): Promise<void> {
  const bound = new AbortController();
  const late = sleep(ms, undefined, { signal: bound.signal }).catch(() => undefined);
  try {
    await Promise.race([work, late]);
  } finally {
    bound.abort();
  }
}
