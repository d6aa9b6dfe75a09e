import { describe, expect, test } from 'vitest';

import { oversell } from '../../scripts/drill/oversell.ts';
import { toReport } from '../../scripts/drill/report.ts';
import { Verdict } from '../../scripts/drill/verdict.ts';
import { useTestDatabase } from '../support/database.ts';
import { brokenIn, passDrill, runDrill } from '../support/drills.ts';
import { KeepAliveClient, startProcess } from '../support/process.ts';

describe('what a drill comes to', { timeout: 120_000 }, () => {
  const PROMISES = ['sold + left = start', 'zero drift'];

  function reportOf(control: boolean, ...broken: string[]) {
    const verdict = new Verdict(PROMISES);
    for (const promise of broken) verdict.breach(promise, 'for example');
    return toReport('oversell', oversell, { verdict, control, seconds: 1 });
  }

  test('of 2 promises, 1 that breaks fails the drill', () => {
    expect(reportOf(false).passed).toBe(true);
    expect(reportOf(false, 'zero drift')).toMatchObject({
      passed: false,
      promises: [
        { promise: 'sold + left = start', held: true, breaches: 0 },
        { promise: 'zero drift', held: false, breaches: 1, examples: ['for example'] },
      ],
    });
  });

  test('a control passes only when the 1 promise is broken that it is there to break', () => {
    expect(reportOf(true).passed).toBe(false);
    expect(reportOf(true, 'zero drift').passed).toBe(false);
    expect(reportOf(true, 'sold + left = start').passed).toBe(true);
  });

  test('a breach of what nobody promised is a fault of the drill', () => {
    expect(() => new Verdict(PROMISES).breach('peace', '')).toThrow('nobody promised: peace');
  });

  test('a running service at BASE_URL keeps its promises: exit 0, and nothing of the drill is left for sale', async () => {
    const database = await useTestDatabase();
    const service = await startProcess({ DATABASE_URL: database.url });
    await passDrill(['oversell', '--rounds', '1', '--clients', '10'], { BASE_URL: service.url });
    expect(await database.query('select from products where active')).toEqual([]);
    expect(await database.query('select from orders')).toHaveLength(20);
  });

  test('a running service with 1 counter adrift: exit 1, and the drill says which promise is broken', async () => {
    const database = await useTestDatabase();
    const service = await startProcess({ DATABASE_URL: database.url });
    const seller = new KeepAliveClient(service.url);
    await seller.call('POST', '/products', { sku: 'ADRIFT', name: 'Adrift', price: 1, stock: 5 });
    seller.close();
    await database.query('update products set reserved = 1');
    const args = ['oversell', '--rounds', '1', '--clients', '10'];
    const { code, report, text } = await runDrill(args, { BASE_URL: service.url });
    expect(code).toBe(1);
    expect(report && brokenIn(report)).toEqual(['zero drift']);
    expect(text).toContain('oversell: BROKEN: "zero drift".');
    // Against the ledger, and against the orders.
    expect(text).toContain('the audit finds 2 pieces adrift, in ADRIFT');
  });

  test.each([
    [[], {}, 'The first argument must be oversell, '],
    [['flood'], {}, 'The first argument must be oversell, '],
    [['oversell', '--rounds', '0'], {}, '--rounds takes a whole number from 1 to'],
    [['oversell', '--wait'], {}, "Unknown option '--wait'"],
    [['oversell'], { BASE_URL: 'https://shop.example.com' }, 'must name a loopback address'],
    [['oversell', '--control'], { BASE_URL: 'http://127.0.0.1:1' }, '--control runs against handlers'],
    [['crash'], { BASE_URL: 'http://127.0.0.1:1' }, 'crash kills the service and its PostgreSQL'],
    [['expiry'], { BASE_URL: 'http://127.0.0.1:1' }, 'expiry moves the expiry of orders'],
  ])('wrong usage (%j with %j): exit 2, and one sentence that says what', async (args, env, sentence) => {
    const outcome = await runDrill(args, { ...env });
    expect(outcome).toMatchObject({ code: 2, report: undefined });
    expect(outcome.text).toContain(sentence);
    expect(outcome.text.trim().split('\n')).toHaveLength(1);
  });

  test('nothing listens at BASE_URL: exit 1, without a stack', async () => {
    const outcome = await runDrill(['oversell'], { BASE_URL: 'http://127.0.0.1:1' });
    expect(outcome).toMatchObject({ code: 1, report: undefined });
    expect(outcome.text).toContain(
      'oversell could not be run to its end: POST http://127.0.0.1:1/products had no answer',
    );
    expect(outcome.text).not.toMatch(/\n +at /);
  });
});
