import type { Reporter, TestModule } from 'vitest/node';

import { findPgbouncer } from './pgbouncer.ts';

/**
 * Ends the run with one plain line, `N passed, N failed`, for people and for CI alike; before it, what was skipped and
 * why, for nobody shall take that for passed.
 */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    const notes = new Set<string>();
    if (findPgbouncer() === undefined)
      notes.add('PgBouncer is not installed, so nothing was tested behind it');
    for (const module of modules) {
      // A file that cannot be loaded has no tests to fail.
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) counts.failed++;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state !== 'pending') counts[result.state]++;
        if (result.state === 'skipped' && result.note !== undefined) notes.add(result.note);
      }
    }
    for (const note of notes) process.stdout.write(`\nSKIPPED: ${note}.`);
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
  }
}
