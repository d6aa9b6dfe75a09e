import { setTimeout as sleep } from 'node:timers/promises';

import autocannon, { type Client, type Request } from 'autocannon';

import { type Latency, summarize } from './statistics.ts';

/*
 * One run of load over HTTP: a number of connections, each with one request under way at any time.
 *
 * autocannon sends; the counting is done here, because it has no p95, cannot leave out a warm-up within the same
 * connections, and cuts off what is under way when its time is over. Here each connection ends after an answer, so that
 * every order that was asked for is either acknowledged or counted as lost, and stock can be checked to the piece.
 */

export type LoadRequest = Request;

export interface LoadSpec {
  url: string;
  connections: number;
  warmupMs: number;
  measureMs: number;
  requests: LoadRequest[];
  /**
   * Each request is sent once, by one of the connections, and the load ends when all are answered. Otherwise every
   * connection sends all of them, over and over, in a random order of its own.
   */
  once?: boolean;
}

export interface LoadResult {
  /** Answers within the measured time, and the rate of them. */
  measured: number;
  requestsPerSecond: number;
  latencyMs: Latency;
  /** All answers by status, the warm-up included. */
  answers: Record<string, number>;
  /** Requests without an answer. */
  lost: number;
  /** How much of one core the load generator itself took. Near 1, it is what limits the result. */
  generatorCores: number;
}

export interface LoadSecond {
  second: number;
  requestsPerSecond: number;
  latencyMs: Latency;
}

export interface LoadHooks {
  onSecond?: (second: LoadSecond) => void;
  /** Ends the load early; what is under way is still answered. */
  signal?: AbortSignal;
}

const ANSWER_TIMEOUT_S = 10;

export async function runLoad(spec: LoadSpec, hooks: LoadHooks = {}): Promise<LoadResult> {
  const { requests, once = false } = spec;
  const connections = once ? Math.min(spec.connections, requests.length) : spec.connections;
  const clients: Client[] = [];
  const counter = new Counter();
  const finished = new Promise<void>((resolve, reject) => {
    const tracker = autocannon(
      {
        url: spec.url,
        connections,
        // Longer than it can last: the load is ended below, by closing every connection after its answer.
        duration: (spec.warmupMs + spec.measureMs) / 1000 + 4 * ANSWER_TIMEOUT_S,
        sampleInt: 50,
        timeout: ANSWER_TIMEOUT_S,
        setupClient: (client) => {
          const number = clients.push(client) - 1;
          const share = requests.filter((_, index) => !once || index % connections === number);
          client.setRequests(shuffled(share));
          if (once) client.responseMax = share.length;
        },
      },
      (error) => (error ? reject(error) : resolve()),
    );
    tracker.on('response', (_client: Client, status: number, _bytes: number, latencyMs: number) =>
      counter.count(status, latencyMs),
    );
    tracker.on('reqError', () => counter.lose());
    tracker.on('error', reject);
  });
  const over = new AbortController();
  const end = () => over.abort();
  finished.then(end, end);
  const signal = AbortSignal.any([over.signal, ...(hooks.signal ? [hooks.signal] : [])]);
  const measurement = measure(spec, counter, { ...hooks, signal }).finally(() => {
    for (const client of clients) client.responseMax = 1;
  });
  const [result] = await Promise.all([measurement, finished]);
  return { ...result, answers: Object.fromEntries(counter.answers), lost: counter.lost };
}

type Measured = Pick<LoadResult, 'measured' | 'requestsPerSecond' | 'latencyMs' | 'generatorCores'>;

async function measure(
  spec: LoadSpec,
  counter: Counter,
  { onSecond, signal }: LoadHooks & { signal: AbortSignal },
): Promise<Measured> {
  await pause(spec.warmupMs, signal);
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  counter.start();
  let second = 0;
  const tell = () => {
    second += 1;
    const { latencies, elapsedMs } = counter.takeSecond();
    onSecond?.({
      second,
      requestsPerSecond: rate(latencies.length, elapsedMs),
      latencyMs: summarize(latencies),
    });
  };
  const ticks = setInterval(tell, 1000);
  await pause(spec.measureMs, signal);
  clearInterval(ticks);
  // The last tick and the end fall together, in either order.
  if (counter.sinceTakenMs > 500) tell();
  const latencies = counter.stop();
  const elapsedMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return {
    measured: latencies.length,
    requestsPerSecond: rate(latencies.length, elapsedMs),
    latencyMs: summarize(latencies),
    generatorCores: (user + system) / 1000 / elapsedMs,
  };
}

class Counter {
  readonly answers = new Map<string, number>();
  lost = 0;
  #measuring = false;
  #latencies: number[] = [];
  #secondBegan = 0;
  #secondBeganAt = 0;

  count(status: number, latencyMs: number): void {
    const name = String(status);
    this.answers.set(name, (this.answers.get(name) ?? 0) + 1);
    if (this.#measuring) this.#latencies.push(latencyMs);
  }

  lose(): void {
    this.lost += 1;
  }

  start(): void {
    this.#measuring = true;
    this.#secondBeganAt = performance.now();
  }

  /** What was measured since the last call. */
  takeSecond(): { latencies: number[]; elapsedMs: number } {
    const now = performance.now();
    const latencies = this.#latencies.slice(this.#secondBegan);
    const elapsedMs = now - this.#secondBeganAt;
    this.#secondBegan = this.#latencies.length;
    this.#secondBeganAt = now;
    return { latencies, elapsedMs };
  }

  get sinceTakenMs(): number {
    return performance.now() - this.#secondBeganAt;
  }

  stop(): number[] {
    this.#measuring = false;
    return this.#latencies;
  }
}

function rate(count: number, elapsedMs: number): number {
  return (count * 1000) / elapsedMs;
}

function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    const kept = result[last] as T;
    result[last] = result[other] as T;
    result[other] = kept;
  }
  return result;
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return sleep(durationMs, undefined, { signal }).catch(() => undefined);
}
