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

  add(close: () => Promise<unknown>): void {
    this.#closers.push(close);
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
