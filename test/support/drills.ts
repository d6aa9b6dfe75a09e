import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

import { inject, onTestFinished } from 'vitest';

import type { Report } from '../../scripts/drill/report.ts';

const root = path.resolve(import.meta.dirname, '..', '..');

export interface DrillOutcome {
  code: number | null;
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
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', path.join('scripts', 'drill.ts'), ...args, '--json'],
    {
      cwd: root,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const closed = once(child, 'close');
  onTestFinished(async () => {
    // It removes what it has made, and ends what it has started.
    child.kill('SIGTERM');
    await closed;
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const [code] = (await closed) as [number | null];
  const report = output.stdout === '' ? undefined : (JSON.parse(output.stdout) as Report);
  return { code, report, text: output.stderr };
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
