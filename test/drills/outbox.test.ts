import { describe, expect, test } from 'vitest';

import { brokenIn, passDrill } from '../support/drills.ts';

// It kills PostgreSQL, so it always starts one of its own.
describe('the outbox drill', { timeout: 300_000 }, () => {
  test('5 kills, of a connection up to everything: every event arrives at every endpoint, in order', async () => {
    const report = await passDrill(['outbox', '--rounds', '5']);
    expect(brokenIn(report)).toEqual([]);
    expect(report.figures).toMatchObject({ kills: 5, 'of which everything': 1 });
    expect(report.figures['events']).toBeGreaterThan(500);
  });

  test('3 kills with synchronous_commit = off: it finds events that arrived and are not stored', async () => {
    const report = await passDrill(['outbox', '--control', '--rounds', '3']);
    expect(brokenIn(report)).toContain('no event without its row');
  });
});
