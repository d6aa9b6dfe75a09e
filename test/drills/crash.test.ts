import { describe, expect, test } from 'vitest';

import { brokenIn, passDrill } from '../support/drills.ts';

// It kills PostgreSQL, so it always starts one of its own.
describe('the crash drill', { timeout: 180_000 }, () => {
  test('5 kills, of a connection up to everything: nothing acknowledged is lost, nothing doubled', async () => {
    const report = await passDrill(['crash', '--rounds', '5']);
    expect(report.figures).toMatchObject({
      kills: 5,
      'of which everything': 1,
      lost: 0,
      doubled: 0,
      drift: 0,
    });
    expect(brokenIn(report)).toEqual([]);
    expect(report.figures['acknowledged']).toBeGreaterThan(500);
  });

  test('3 kills with synchronous_commit = off: it finds acknowledged orders that are lost', async () => {
    const report = await passDrill(['crash', '--control', '--rounds', '3']);
    expect(brokenIn(report)).toContain('acknowledged ⊆ stored');
    expect(report.figures['lost']).toBeGreaterThan(0);
  });
});
