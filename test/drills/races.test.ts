import { describe, expect, test } from 'vitest';

import { brokenIn, passDrill } from '../support/drills.ts';

describe('drills of races, at two instances', { timeout: 120_000 }, () => {
  test('oversell: 2 rounds of 80 buyers for 20 pieces keep every promise', async () => {
    const report = await passDrill(['oversell', '--rounds', '2', '--clients', '20']);
    expect(report.figures).toMatchObject({ buyers: 160, drift: 0 });
    expect(brokenIn(report)).toEqual([]);
  });

  test('oversell against a check outside of the lock: it finds that more than 20 pieces were sold', async () => {
    const report = await passDrill(['oversell', '--control', '--rounds', '1', '--clients', '20']);
    expect(brokenIn(report)).toContain('sold + left = start');
    expect(brokenIn(report)).toContain('as many buyers win as there are pieces');
  });

  test('double-webhook: 32 events in 352 deliveries have one effect each', async () => {
    const report = await passDrill(['double-webhook', '--rounds', '2', '--clients', '20']);
    expect(report.figures).toMatchObject({ events: 32, deliveries: 352, drift: 0 });
    expect(brokenIn(report)).toEqual([]);
  });

  test('double-webhook without a gate: it finds events with several effects', async () => {
    const report = await passDrill(['double-webhook', '--control', '--rounds', '1', '--clients', '20']);
    expect(brokenIn(report)).toContain('one effect per event');
  });

  test('money: 96 events of 32 orders, in any order and each twice, add up and leave no difference untold', async () => {
    const report = await passDrill(['money', '--rounds', '4', '--clients', '20']);
    expect(report.figures).toMatchObject({ events: 96, deliveries: 192, drift: 0 });
    expect(brokenIn(report)).toEqual([]);
  });

  test('money decided by the state alone: it finds money that is held and that nothing tells of', async () => {
    const report = await passDrill(['money', '--control', '--rounds', '2', '--clients', '20']);
    expect(brokenIn(report)).toContain('held = due, or the list says so');
  });

  test('double-order: 20 keys in 240 calls and over 1 kill -9 have one order each', async () => {
    const report = await passDrill(['double-order', '--rounds', '2', '--clients', '20']);
    // Those who ask the instance again that was killed come on top.
    expect(report.figures).toMatchObject({ keys: 20, calls: 250, kills: 1, drift: 0 });
    expect(brokenIn(report)).toEqual([]);
  });

  test('double-order where nobody looks at the key: it finds several orders for one', async () => {
    const report = await passDrill(['double-order', '--control', '--rounds', '1', '--clients', '20']);
    expect(brokenIn(report)).toContain('one order per key');
  });
});
