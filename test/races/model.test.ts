import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sweep, useExpiringService } from '../support/expiry.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { commands, createProduct } from '../support/model-commands.ts';
import { emptyModel } from '../support/model.ts';

test('100 sequences of up to 60 commands: answers, stock, orders and reviews are those of a model in memory', async () => {
  const service = await useExpiringService();
  let run = 0;
  const sequences = fc.commands(commands, { maxCommands: 60, size: 'max' });
  const property = fc.asyncProperty(sequences, async (sequence) => {
    const real = { service, run: ++run };
    const setup = async () => {
      const model = emptyModel();
      // What the run before has left overdue is not in this model.
      await sweep(service);
      for (const stock of [20, 10, 3]) await createProduct(model, real, 199, stock);
      return { model, real };
    };
    await fc.asyncModelRun(setup, sequence);
  });
  // A failure prints the seed, the path and the shortest sequence that fails.
  await fc.assert(property, {
    numRuns: 100,
    // Half a minute on a machine that does nothing else; this is for one that does.
    interruptAfterTimeLimit: 180_000,
    markInterruptAsFailure: true,
  });
  expect(run).toBe(100);
  await expectStockAddsUp(service.database);
}, 200_000);
