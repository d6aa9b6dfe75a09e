import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/{unit,api,races,faults,schema,drills}/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/totals-reporter.ts'],
    // Races and kills take their time on a small machine; a test that hangs still ends.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two workers on two cores: more would only make the races compete with each other for the processor.
    maxWorkers: 2,
    coverage: { provider: 'v8', include: ['src/**'], exclude: ['src/db/schema.ts'] },
  },
});
