import type { ClosingStack } from '../../src/lib/shutdown.ts';

/** Resources still open after this time are left to the operating system. */
const CLOSE_TIMEOUT_MS = 30_000;
/** Under npm, one Ctrl-C arrives from the terminal and again from npm. */
const SAME_SIGNAL_MS = 1000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs work and closes its resources, however it ends. A signal ends the process, with exit code 130, once everything
 * is closed.
 */
export async function closeAfter<T>(opened: ClosingStack, start: () => Promise<T>): Promise<T> {
  let interruptedAt: number | undefined;
  const work = start();
  const settled = work.then(
    () => undefined,
    () => undefined,
  );
  const interrupt = () => {
    if (interruptedAt !== undefined) {
      if (performance.now() - interruptedAt > SAME_SIGNAL_MS) process.exit(130);
      return;
    }
    interruptedAt = performance.now();
    process.stderr.write('\nEnding …\n');
    setTimeout(() => process.exit(130), CLOSE_TIMEOUT_MS).unref();
    // Resources that the work opens while closing runs are closed once the work has failed.
    void opened
      .closeAll()
      .catch(() => undefined)
      .then(() => settled)
      .then(() => opened.closeAll())
      .catch(() => undefined)
      .then(() => process.exit(130));
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  await settled;
  // An interrupted run has no result; the process ends when everything is closed.
  if (interruptedAt !== undefined) return new Promise<never>(() => undefined);
  for (const signal of SIGNALS) process.removeListener(signal, interrupt);
  await opened.closeAll();
  return work;
}
