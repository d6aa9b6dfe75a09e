import { expect, test } from 'vitest';

import { createDeferred } from '../../src/lib/deferred.ts';
import { startPoller } from '../../src/lib/poller.ts';

const HOUR_MS = 3_600_000;

test('a first run that failed is made up for soon, and the loop goes on at its interval', async () => {
  const errors: unknown[] = [];
  let runs = 0;
  const { promise, resolve } = createDeferred();
  const poller = startPoller(
    async () => {
      runs += 1;
      if (runs < 3) throw new Error(`run ${runs}`);
      resolve();
    },
    { everyMs: HOUR_MS, atOnce: true, retryMs: 1, onError: (error) => errors.push(error) },
  );
  await promise;
  await poller.stop();
  expect([runs, errors]).toEqual([3, [new Error('run 1'), new Error('run 2')]]);
});

test('stopping tells a run of many steps, and waits for it', async () => {
  const started = createDeferred();
  const step = createDeferred();
  let stopped: boolean | undefined;
  const poller = startPoller(
    async (isStopping) => {
      started.resolve();
      await step.promise;
      stopped = isStopping();
    },
    { everyMs: HOUR_MS, atOnce: true, onError: () => undefined },
  );
  await started.promise;
  const stopping = poller.stop();
  step.resolve();
  await stopping;
  expect(stopped).toBe(true);
});
