import type { Reporter, TestModule } from 'vitest/node';

/** Enough to see where the minutes of a run went. */
const SLOWEST_FILES = 10;

/**
 * Ends the run with one plain line, `N passed, N failed`, for people and for CI alike. Before it stand the slowest files,
 * and what was skipped and why, so that nobody takes that for passed.
 */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    const notes = new Set<string>();
    for (const module of modules) {
      // A file that cannot be loaded has no tests to fail.
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) counts.failed++;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state !== 'pending') counts[result.state]++;
        if (result.state === 'skipped' && result.note !== undefined) notes.add(result.note);
      }
    }
    printSlowest(modules);
    for (const note of notes) process.stdout.write(`\nSKIPPED: ${note}.`);
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
  }
}

function printSlowest(modules: readonly TestModule[]): void {
  const timed = modules.map((module) => ({ module, ms: module.diagnostic().duration }));
  const slowest = timed.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST_FILES);
  process.stdout.write('\nThe slowest files:\n');
  for (const { module, ms } of slowest) {
    process.stdout.write(
      `${(ms / 1000).toFixed(1).padStart(7)} s  ${module.relativeModuleId} (${module.project.name})\n`,
    );
  }
}
