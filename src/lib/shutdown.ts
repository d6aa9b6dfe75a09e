import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';

import closeWithGrace from 'close-with-grace';

/** SIGHUP is among them at a terminal: its window was closed. */
const SIGNALS = isAtTerminal()
  ? (['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  : (['SIGTERM', 'SIGINT'] as const);

/**
 * The signals that the processor raises when the process crashes. A listener would run in the crashed process, or never,
 * because the fault repeats at once: the process would then spin instead of ending, and nothing would restart it.
 */
const CRASHES = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGABRT', 'SIGTRAP'] as const;

/** SPEC: exit within 10 s. Connections still open by then are cut; PostgreSQL recovers from that by itself. */
const CLOSE_TIMEOUT_MS = 9500;

/** Under `npm start`, one Ctrl-C reaches this process from the terminal and again from npm, within milliseconds. */
const SAME_SIGNAL_MS = 1000;

/**
 * Closes the process on a signal (exit code 0) or on an uncaught error (exit code 1). A second signal ends it at once,
 * unless it is an echo of the first.
 */
export function closeOnSignals(close: () => Promise<void>, onError: (error: unknown) => void): void {
  const grace = closeWithGrace(
    { delay: CLOSE_TIMEOUT_MS, logger: false, skip: [...SIGNALS, ...CRASHES, 'SIGHUP'] },
    async ({ err }) => {
      if (err !== undefined) onError(err);
      await close();
    },
  );
  // Node undoes nohup's ignoring of SIGHUP. Without a terminal, a hangup is ignored here.
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

/** Resources to close in reverse order, because each may still use those opened before it. */
export class ClosingStack {
  readonly #closers: (() => Promise<unknown>)[] = [];

  /** @param withinMs a resource that is still open by then is left, because the process is about to end */
  add(close: () => Promise<unknown>, withinMs?: number): void {
    this.#closers.push(withinMs === undefined ? close : () => bounded(close(), withinMs));
  }

  /** Closes every resource, even after one fails; throws the first failure at the end. */
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
