import { defineConfig } from 'vitest/config';

/** The pure tests of what is mutated: without a database, so that a mutant takes a moment and not a clone. */
export default defineConfig({
  test: {
    include: ['test/unit/{batcher,fingerprint,order-state,payment-rules,webhook-signature}.test.ts'],
  },
});
