import type { ClosingStack } from '../../src/lib/shutdown.ts';

/** What has not closed by then is left to the operating system. */
const CLOSE_TIMEOUT_MS = 30_000;
/** Under npm, one Ctrl-C arrives from the terminal and again from npm. */
const SAME_SIGNAL_MS = 1000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a script and closes what it opened, however it ends: exit code 130 after a signal, 1 after an error or when it
 * returns false.
 */
export async function runScript(opened: ClosingStack, script: () => Promise<boolean>): Promise<void> {
  let interruptedAt: number | undefined;
  const work = script();
  const settled = work.then(
    () => undefined,
    () => undefined,
  );
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (interruptedAt !== undefined) {
        if (performance.now() - interruptedAt > SAME_SIGNAL_MS) process.exit(130);
        return;
      }
      interruptedAt = performance.now();
      process.stderr.write('\nEnding …\n');
      setTimeout(() => process.exit(130), CLOSE_TIMEOUT_MS).unref();
      // What the work opens while it is being closed is closed once it has noticed that its ground is gone.
      void opened
        .closeAll()
        .catch(() => undefined)
        .then(() => settled)
        .then(() => opened.closeAll())
        .catch(() => undefined)
        .then(() => process.exit(130));
    });
  }
  try {
    if (!(await work)) process.exitCode = 1;
  } catch (error) {
    if (interruptedAt !== undefined) return;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
  if (interruptedAt === undefined) await opened.closeAll();
}
