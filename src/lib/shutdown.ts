import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';

import closeWithGrace from 'close-with-grace';

/** SIGHUP is among them at a terminal: its window was closed. */
const SIGNALS = isAtTerminal()
  ? (['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  : (['SIGTERM', 'SIGINT'] as const);

/**
 * What the processor raises when the process has crashed. A listener would run in the crashed process, or, as the fault
 * comes again at once, never: the process would then spin for ever instead of ending, and nothing would start it again.
 */
const CRASHES = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGABRT', 'SIGTRAP'] as const;

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
    { delay: CLOSE_TIMEOUT_MS, logger: false, skip: [...SIGNALS, ...CRASHES, 'SIGHUP'] },
    async ({ err }) => {
      if (err !== undefined) onError(err);
      await close();
    },
  );
  // Node takes back that nohup had it ignored. Without a terminal, a hangup means nothing to us.
  if (!isAtTerminal()) process.on('SIGHUP', () => undefined);
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

/** Whether any of the three standard streams is a terminal. nohup replaces all of them that are. */
function isAtTerminal(): boolean {
  return [0, 1, 2].some((fd) => isatty(fd));
}

/**
 * Waits for work, or leaves it behind when the signal comes first.
 * @throws the signal's reason
 */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  if (signal.aborted) work.catch(() => undefined);
  signal.throwIfAborted();
  return Promise.race([work, aborted]);
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
