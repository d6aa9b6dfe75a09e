import { describe, expect, test } from 'vitest';

import { brokenIn, passDrill } from '../support/drills.ts';

describe('rolling restarts of two processes', { timeout: 180_000 }, () => {
  test('restart: two rolling restarts under load fail no request, with idle and half-open connections', async () => {
    const report = await passDrill(['restart', '--rounds', '2', '--clients', '8']);
    expect(report.figures).toMatchObject({ restarts: 2, drift: 0 });
    expect(report.figures['orders']).toBeGreaterThan(0);
    expect(brokenIn(report)).toEqual([]);
  });

  test('restart of instances that do not drain: it finds requests that failed', async () => {
    const report = await passDrill(['restart', '--control', '--rounds', '2', '--clients', '8']);
    expect(brokenIn(report)).toContain('no request fails');
  });
});
