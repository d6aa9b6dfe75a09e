import { paint, table } from '../support/terminal.ts';
import type { Drill } from './drill.ts';
import type { KeptPromise, Verdict } from './verdict.ts';

/** The result of a run, as `--json` prints it. */
export interface Report {
  drill: string;
  control: boolean;
  /** Every promise held; or, with `control`, the one that had to break was found broken. */
  passed: boolean;
  seconds: number;
  promises: KeptPromise[];
  figures: Record<string, number>;
}

export function toReport(
  name: string,
  drill: Drill,
  { verdict, control, seconds }: { verdict: Verdict; control: boolean; seconds: number },
): Report {
  const { promises, figures } = verdict;
  const passed = control ? verdict.breachesOf(drill.control.breaks) > 0 : promises.every(({ held }) => held);
  return { drill: name, control, passed, seconds: Math.round(seconds * 10) / 10, promises, figures };
}

/** For people: the table of promises with their breaches, and one sentence. */
export function describeReport(report: Report, { control }: Drill): string {
  const marked = report.promises.map(({ held, breaches, ...kept }) => ({
    ...kept,
    mark: held ? '✓' : '✗',
    result: held ? 'held' : `broken ${breaches === 1 ? 'once' : `${breaches} times`}`,
  }));
  const promises = table(
    [
      { title: '', value: (row) => row.mark },
      { title: 'promise', value: (row) => row.promise },
      { title: '', value: (row) => row.result },
    ],
    marked,
  );
  const examples = report.promises.flatMap(({ promise, held, examples: all }) =>
    held ? [] : [`  ${promise}:`, ...all.map((example) => `    ${example}`)],
  );
  const figures = Object.entries(report.figures).map(
    ([name, value]) => `${name} ${value.toLocaleString('en-US')}`,
  );
  const seconds = `${report.seconds.toFixed(1)} s`;
  return [
    promises,
    ...(examples.length === 0 ? [] : ['', ...examples]),
    '',
    `  ${[...figures, seconds].join(' · ')}`,
    '',
    paint(report.passed ? 'green' : 'red', sentence(report, control)),
    '',
  ].join('\n');
}

export function sentence(report: Report, control: Drill['control']): string {
  const broken = report.promises.flatMap(({ promise, held }) => (held ? [] : [`"${promise}"`]));
  if (report.control) {
    return report.passed
      ? `${report.drill} --control: "${control.breaks}" was found broken, as it had to be.`
      : `${report.drill} --control: "${control.breaks}" was NOT found broken, so this drill cannot fail.`;
  }
  return report.passed
    ? `${report.drill}: every promise held.`
    : `${report.drill}: BROKEN: ${broken.join(', ')}.`;
}
