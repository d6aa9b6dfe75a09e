import { expect } from 'vitest';

import { observeStatements, type Statement } from './race.ts';
import type { TestService } from './service.ts';

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: Plan[];
}

/** What PostgreSQL did for the one statement of a list: the tables that it scanned, and the most rows of one step. */
export async function lookUp(
  service: TestService,
  url: string,
): Promise<{ scanned: (string | undefined)[]; rowsLookedAt: number }> {
  const nodes = nodesOf(await planOf(service, url));
  const rows = nodes.map(
    (node) =>
      (node['Actual Rows'] +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0)) *
      node['Actual Loops'],
  );
  const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan');
  return { scanned: scans.map((node) => node['Relation Name']), rowsLookedAt: Math.max(...rows) };
}

async function planOf(service: TestService, url: string): Promise<Plan> {
  const sent: Statement[] = [];
  observeStatements(service, (statement) => sent.push(statement));
  expect((await service.call('GET', url)).status).toBe(200);
  expect(sent).toHaveLength(1);
  const [{ text, values } = { text: '', values: [] }] = sent;
  const rows = await service.database.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(
    `explain (analyze, format json) ${text}`,
    values,
  );
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
  if (plan === undefined) throw new Error('no plan');
  return plan;
}

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
