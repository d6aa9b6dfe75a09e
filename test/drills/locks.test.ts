import { describe, expect, test } from 'vitest';

import { brokenIn, passDrill } from '../support/drills.ts';

describe('drills of locks, at two instances', { timeout: 120_000 }, () => {
  test('deadlock: 96 crossing baskets with 116 further steps end without a deadlock', async () => {
    const report = await passDrill(['deadlock', '--rounds', '2', '--clients', '12']);
    expect(report.figures).toMatchObject({ orders: 96, steps: 116, deadlocks: 0, drift: 0 });
    expect(brokenIn(report)).toEqual([]);
  });

  test('deadlock where products are locked as the basket has them: it finds deadlocks', async () => {
    const report = await passDrill(['deadlock', '--control', '--rounds', '1', '--clients', '8']);
    expect(brokenIn(report)).toContain('no deadlock');
    expect(report.figures['deadlocks']).toBeGreaterThan(0);
  });

  test('expiry: 80 orders that are paid as they expire end in one legal way each', async () => {
    const report = await passDrill(['expiry', '--rounds', '2', '--clients', '20']);
    expect(report.figures).toMatchObject({ orders: 80, drift: 0 });
    expect(brokenIn(report)).toEqual([]);
  });

  test('expiry where the payment does not look twice: it finds orders that expired and were paid', async () => {
    const report = await passDrill(['expiry', '--control', '--rounds', '3', '--clients', '20']);
    expect(brokenIn(report)).toContain('each order ends in exactly one legal way');
  });
});
