import path from 'node:path';

import { inject, onTestFinished } from 'vitest';

import type { Report } from '../../scripts/drill/report.ts';
import { startChild } from '../../scripts/support/children.ts';

const root = path.resolve(import.meta.dirname, '..', '..');

export interface DrillOutcome {
  code: number | undefined;
  /** Undefined when it did not come to one. */
  report: Report | undefined;
  /** What it says to people. */
  text: string;
}

/** Runs a drill as a person does, on a scratch database of the test server, or with other settings. */
export async function runDrill(
  args: readonly string[],
  env: Record<string, string> = { DATABASE_URL: inject('adminUrl') },
): Promise<DrillOutcome> {
  const command = ['--import', 'tsx', path.join('scripts', 'drill.ts'), ...args, '--json'];
  const child = startChild(process.execPath, command, { cwd: root, env });
  // It removes what it has made, and ends what it has started.
  onTestFinished(async () => {
    child.kill();
    await child;
  });
  const { exitCode: code, stdout, stderr: text } = await child;
  const report = stdout === '' ? undefined : (JSON.parse(stdout) as Report);
  return { code, report, text };
}

/** Runs a drill that must come to exit code 0. @throws with all that it said when it comes to another */
export async function passDrill(...args: Parameters<typeof runDrill>): Promise<Report> {
  const { code, report, text } = await runDrill(...args);
  if (code !== 0 || report === undefined) throw new Error(`exit code ${code}\n${text}`);
  return report;
}

/** The promises that a drill found broken. */
export function brokenIn({ promises }: Report): string[] {
  return promises.flatMap(({ promise, held }) => (held ? [] : [promise]));
}
