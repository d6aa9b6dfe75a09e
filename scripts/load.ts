import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { BottleneckWatch, type Evidence, nameBottleneck } from './bench/bottleneck.ts';
import { type LoadResult, type LoadSecond, runLoad } from './bench/http-load.ts';
import { toLoadChart } from './bench/load-chart.ts';
import { LoadShop } from './bench/load-shop.ts';
import { readNumber } from './bench/options.ts';
import { requireLoopback } from './support/arguments.ts';

/*
 * Load on a running service at BASE_URL: 80 % reads and 20 % orders over products of its own, and at the end the check
 * that not one piece was sold twice or lost. Ctrl-C ends it early, with the same check.
 */
const CONNECTIONS = { light: 25, medium: 100, heavy: 200 } as const;
type Profile = keyof typeof CONNECTIONS;

const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 3600;
const USAGE = `npm run load -- light|medium|heavy [--seconds N]
  25, 100 or 200 connections against BASE_URL (default http://127.0.0.1:8000); API_KEY is sent when it is set.`;

function isProfile(text: string | undefined): text is Profile {
  return text !== undefined && Object.hasOwn(CONNECTIONS, text);
}

function readArguments(): { profile: Profile; seconds: number } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: 'string' } },
  });
  const [profile, ...others] = positionals;
  if (!isProfile(profile) || others.length > 0) throw new Error(USAGE);
  return { profile, seconds: readNumber('--seconds', values.seconds, DEFAULT_SECONDS, MAX_SECONDS) };
}

async function load(): Promise<boolean> {
  const { profile, seconds } = readArguments();
  const baseUrl = (process.env['BASE_URL'] || 'http://127.0.0.1:8000').replace(/\/+$/, '');
  requireLoopback(baseUrl, 'BASE_URL');
  const apiKey = process.env['API_KEY'];
  const headers: Record<string, string> = apiKey ? { 'x-api-key': apiKey } : {};
  const shop = await LoadShop.open(baseUrl, headers).catch((error: unknown) => {
    const { message, cause } = error as Error;
    throw new Error(`${baseUrl} cannot be loaded: ${cause instanceof Error ? cause.message : message}`);
  });
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

try {
  process.exitCode = (await load()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
