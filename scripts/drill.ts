import { ClosingStack } from '../src/lib/shutdown.ts';
import { crash } from './drill/crash.ts';
import { deadlock } from './drill/deadlock.ts';
import { doubleOrder } from './drill/double-order.ts';
import { doubleWebhook } from './drill/double-webhook.ts';
import type { Drill, DrillRun } from './drill/drill.ts';
import { expiry } from './drill/expiry.ts';
import { money } from './drill/money.ts';
import { type DrillOptions, readDrillOptions } from './drill/options.ts';
import { outbox } from './drill/outbox.ts';
import { oversell } from './drill/oversell.ts';
import { Progress } from './drill/progress.ts';
import { describeReport, type Report, sentence, toReport } from './drill/report.ts';
import { restart } from './drill/restart.ts';
import { runScript, UsageError } from './support/arguments.ts';
import { Children } from './support/children.ts';
import { closeAfter } from './support/interrupt.ts';
import { ServiceFailure } from './support/service-client.ts';
import { paint } from './support/terminal.ts';

/* Attacks on the promises of the service, each followed by an account of every piece, order and event. */
const DRILLS = {
  oversell,
  'double-webhook': doubleWebhook,
  'double-order': doubleOrder,
  deadlock,
  expiry,
  money,
  crash,
  restart,
  outbox,
} as const satisfies Record<string, Drill>;

type DrillName = keyof typeof DRILLS;
const NAMES = Object.keys(DRILLS) as DrillName[];

const USAGE = `Attacks the service, and then accounts for every piece, order and event.

  npm run drill -- <drill> [options]

${NAMES.map((name) => `  ${name.padEnd(16)} ${DRILLS[name].title}`).join('\n')}
  all              one after the other

  --control      against something that is broken on purpose: the drill must find it
  --rounds <n>   how many; default: what takes about 20 s, or as many as --seconds allows
  --seconds <n>  begin no round after that
  --clients <n>  how many at once
  --json         one line of JSON for each drill on standard output, everything else on standard error

Two instances of the built service and an embedded PostgreSQL are started for it, and removed at its end.

  DATABASE_URL   a PostgreSQL to make a scratch database on instead; what is named in it is not touched
  BASE_URL       a running service instead, on this machine, for the drills that neither kill nor wait;
                 WEBHOOK_SECRET and API_KEY are its own

A .env file is read as the service reads it.

Exit code: 0 when every promise held (with --control: when the breach was found), 1 when not, 2 for wrong usage.
`;

await runScript(USAGE, async (args) => {
  const { name, options } = readDrillOptions(args, [...NAMES, 'all']);
  const reports: Report[] = [];
  for (const each of name === 'all' ? NAMES : [name]) {
    const reason = whyNot(each, options);
    if (reason === undefined) reports.push(await runDrill(each, options));
    else if (name === 'all') process.stderr.write(`${reason} It is left out.\n`);
    else throw new UsageError(reason);
  }
  if (name === 'all') printSummary(reports, options);
  return reports.every(({ passed }) => passed) ? 0 : 1;
});

function whyNot(name: DrillName, { target }: DrillOptions): string | undefined {
  const { needsOwnService }: Drill = DRILLS[name];
  if (target === undefined || needsOwnService === undefined) return undefined;
  return `${name} ${needsOwnService}, so it needs one of its own: leave BASE_URL unset.`;
}

/** @throws ServiceFailure when the drill could not be run to its end */
async function runDrill(name: DrillName, options: DrillOptions): Promise<Report> {
  const drill: Drill = DRILLS[name];
  const opened = new ClosingStack();
  const progress = new Progress(options.json ? process.stderr : process.stdout);
  const startedAt = performance.now();
  const clients = options.clients ?? drill.defaults.clients;
  progress.title(`${name}${options.control ? ' --control' : ''}: ${drill.title}, ${clients} at once`);
  if (options.control) progress.note(`The control: ${drill.control.how}.`);
  const run: DrillRun = {
    options,
    clients,
    opened,
    children: new Children(),
    rounds: () => countRounds(drill, options),
    progress: (text) => progress.show(text),
    note: (text) => progress.note(text),
  };
  const verdict = await closeAfter(opened, () => drill.run(run)).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServiceFailure(`${name} could not be run to its end: ${reason}`, { cause: error });
  });
  progress.end();
  const seconds = (performance.now() - startedAt) / 1000;
  const report = toReport(name, drill, { verdict, control: options.control, seconds });
  progress.print(`\n${describeReport(report, drill)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  return report;
}

function* countRounds(drill: Drill, { rounds, seconds }: DrillOptions): Generator<number> {
  const endsAt = seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1000;
  const last = rounds ?? (seconds === undefined ? drill.defaults.rounds : Number.POSITIVE_INFINITY);
  for (let round = 1; round <= last && (round === 1 || performance.now() < endsAt); round += 1) yield round;
}

function printSummary(reports: readonly Report[], { json }: DrillOptions): void {
  const lines = reports.map((report) => {
    const text = sentence(report, DRILLS[report.drill as DrillName].control);
    return `${paint(report.passed ? 'green' : 'red', report.passed ? '✓' : '✗')} ${text}`;
  });
  (json ? process.stderr : process.stdout).write(`${lines.join('\n')}\n`);
}
