import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { BottleneckWatch, type Evidence, nameBottleneck } from './bench/bottleneck.ts';
import { type LoadResult, type LoadSecond, runLoad } from './bench/http-load.ts';
import { toLoadChart } from './bench/load-chart.ts';
import { LoadShop } from './bench/load-shop.ts';
import { readCommand, readNumber, runScript } from './support/arguments.ts';
import { ENVIRONMENT_USAGE, readEnvironment, requireLoopback } from './support/environment.ts';
import { createServiceClient } from './support/service-client.ts';

/** Ctrl-C ends it early, with the same account at the end. */
const CONNECTIONS = { light: 25, medium: 100, heavy: 200 } as const;
type Profile = keyof typeof CONNECTIONS;

const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 3600;
const USAGE = `Puts load on a running service on this machine, and then accounts for every piece that was sold.

  npm run load -- light|medium|heavy     25, 100 or 200 connections, 80 % reads and 20 % orders

  --seconds <n>  how long; default ${DEFAULT_SECONDS}

${ENVIRONMENT_USAGE}
Exit code: 0 when the stock adds up and no answer was an error of the server, 1 when not, 2 for wrong arguments.
`;

await runScript(USAGE, async (args) => {
  const names = Object.keys(CONNECTIONS) as Profile[];
  const { name: profile, values } = readCommand(args, names, { seconds: { type: 'string' } });
  const seconds = readNumber('--seconds', values.seconds, MAX_SECONDS) ?? DEFAULT_SECONDS;
  return (await load(profile, seconds)) ? 0 : 1;
});

async function load(profile: Profile, seconds: number): Promise<boolean> {
  const environment = readEnvironment();
  const { baseUrl, apiKey } = environment;
  requireLoopback(baseUrl, 'BASE_URL');
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const shop = await LoadShop.open(createServiceClient(environment), headers);
  const history: LoadSecond[] = [];
  const watch = await BottleneckWatch.start(baseUrl, headers);
  const result = await runLoad(
    {
      url: baseUrl,
      connections: CONNECTIONS[profile],
      warmupMs: 0,
      measureMs: seconds * 1000,
      requests: shop.requests(),
    },
    {
      signal: onceInterrupted(),
      onSecond: (second) => {
        history.push(second);
        process.stdout.write(`${progressLine(second)}\n`);
      },
    },
  );
  const evidence = await watch.end(result);
  const faults = [...(await shop.check(result.lost)), ...serverErrors(result)];
  const summary = summarize(profile, result, shop.acknowledged, evidence);
  process.stdout.write(`\n${summary}\n`);
  process.stdout.write(
    faults.length === 0
      ? 'Stock: for every product, sold + left = start, and reserved is the sum of its acknowledged orders.\n'
      : `FAULTS\n${faults.map((fault) => `  ${fault}`).join('\n')}\n`,
  );
  await writeChart(profile, result, history);
  return faults.length === 0;
}

function progressLine({ second, requestsPerSecond, latencyMs }: LoadSecond): string {
  const rate = Math.round(requestsPerSecond).toLocaleString('en-US').padStart(8);
  return `${String(second).padStart(4)} s ${rate} requests/s   p50 ${latencyMs.p50.toFixed(1)} ms   p99 ${latencyMs.p99.toFixed(1)} ms`;
}

function summarize(profile: Profile, result: LoadResult, orders: number, evidence: Evidence): string {
  const { latencyMs, answers, lost } = result;
  const statuses = Object.entries(answers).map(
    ([status, count]) => `${status}: ${count.toLocaleString('en-US')}`,
  );
  return [
    `${profile}: ${CONNECTIONS[profile]} connections, 80 % reads, 20 % orders`,
    `Requests   ${Math.round(result.requestsPerSecond).toLocaleString('en-US')}/s, ${result.measured.toLocaleString('en-US')} in all`,
    `Latency    p50 ${latencyMs.p50.toFixed(1)} ms   p95 ${latencyMs.p95.toFixed(1)} ms   p99 ${latencyMs.p99.toFixed(1)} ms   max ${latencyMs.max.toFixed(1)} ms`,
    `Answers    ${statuses.join('   ') || 'none'}${lost === 0 ? '' : `   without an answer: ${lost}`}`,
    `Orders     ${orders.toLocaleString('en-US')} acknowledged`,
    ...(answers['429'] === undefined ? [] : ['Many answers are the rate limit at work, not the service.']),
    ...nameBottleneck(evidence),
  ].join('\n');
}

function serverErrors({ answers }: LoadResult): string[] {
  return Object.entries(answers)
    .filter(([status]) => Number(status) >= 500)
    .map(([status, count]) => `${count} answers ${status}`);
}

async function writeChart(
  profile: Profile,
  result: LoadResult,
  history: readonly LoadSecond[],
): Promise<void> {
  const file = path.join('bench', `load-${profile}.svg`);
  const { latencyMs, requestsPerSecond } = result;
  const note = `${CONNECTIONS[profile]} connections, 80 % reads · ${Math.round(requestsPerSecond).toLocaleString('en-US')} requests/s · p50 ${latencyMs.p50.toFixed(1)} ms, p95 ${latencyMs.p95.toFixed(1)} ms, p99 ${latencyMs.p99.toFixed(1)} ms`;
  const folder = path.join(import.meta.dirname, '..');
  await mkdir(path.join(folder, 'bench'), { recursive: true });
  await writeFile(path.join(folder, file), toLoadChart(`Load: ${profile}`, note, history));
  process.stdout.write(`Chart: ${file}\n`);
}

/** A second signal ends the process at once; one Ctrl-C arrives twice under npm, within milliseconds. */
function onceInterrupted(): AbortSignal {
  const interrupted = new AbortController();
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (firstAt !== undefined && performance.now() - firstAt > 1000) process.exit(130);
      firstAt ??= performance.now();
      interrupted.abort();
    });
  }
  return interrupted.signal;
}
