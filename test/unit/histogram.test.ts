import fc from 'fast-check';
import { Histogram as PromHistogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';

import { Histogram } from '../../src/lib/histogram.ts';

const options = { name: 'seconds', help: 'How long', buckets: [0.001, 0.01, 0.1, 1] };

test("shows for any values, bounds among them, exactly what prom-client's own histogram shows", async () => {
  const value = fc.oneof(fc.constantFrom(0, ...options.buckets), fc.double({ min: 0, max: 2, noNaN: true }));
  await fc.assert(
    fc.asyncProperty(fc.array(value), fc.array(value), async (reads, writes) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const hot = new Histogram({ ...options, registers: [ours] });
      const prom = new PromHistogram({ ...options, labelNames: ['route', 'status'], registers: [theirs] });
      for (const [route, values] of Object.entries({ '/read': reads, '/write': writes })) {
        if (values.length === 0) continue;
        const series = hot.addSeries({ route, status: 200 });
        for (const seconds of values) {
          series.observe(seconds);
          prom.observe({ route, status: 200 }, seconds);
        }
      }
      expect(await ours.metrics()).toBe(await theirs.metrics());
    }),
  );
});
