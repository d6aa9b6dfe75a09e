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

export interface PlanRow {
  'QUERY PLAN': { Plan: Plan }[];
}

export interface Work {
  /** The tables that were read from end to end. */
  scanned: (string | undefined)[];
  /** The most rows that one step of the plan has looked at. */
  rows: number;
}

/** What PostgreSQL does for the one statement that a call sends about a table. */
export async function workOf(service: TestService, url: string, table: string): Promise<Work> {
  const { text, values } = await statementOf(service, url, table);
  return workIn(
    await service.database.query<PlanRow & Record<string, unknown>>(
      `explain (analyze, format json) ${text}`,
      values,
    ),
  );
}

async function statementOf(service: TestService, url: string, table: string): Promise<Statement> {
  const sent: Statement[] = [];
  observeStatements(service, (statement) => sent.push(statement));
  expect((await service.call('GET', url)).status).toBe(200);
  const [statement, ...others] = sent.filter(({ text }) => text.includes(table));
  if (statement === undefined || others.length > 0) throw new Error(`not one statement about ${table}`);
  return statement;
}

/** What the answer to an `explain (analyze, format json)` tells. */
export function workIn([row]: readonly PlanRow[]): Work {
  const plan = row?.['QUERY PLAN'][0]?.Plan;
  if (plan === undefined) throw new Error('no plan');
  const nodes = nodesOf(plan);
  const rows = nodes.map(
    (node) =>
      (node['Actual Rows'] +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0)) *
      node['Actual Loops'],
  );
  const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan');
  return { scanned: scans.map((node) => node['Relation Name']), rows: Math.max(...rows) };
}

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
