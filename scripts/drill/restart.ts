import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { type Balancer, startBalancer } from '../support/balancer.ts';
import { openPostgres } from '../support/postgres.ts';
import type { Order, Product } from '../support/service-client.ts';
import { type ServiceProcess, startService } from '../support/service-process.ts';
import { Books, type DrillProduct, emailOf } from './books.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { clientOf, WEBHOOK_SECRET } from './ground.ts';
import { answerTo, describe } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * A round stops one of two instances behind a balancer, in turn, and starts it again, as a rolling deployment does.
 * Callers never stop, and never try anything twice: a request that fails is a breach. Each stopped instance has
 * connections open that do nothing, and must end all the same.
 */
const INSTANCES = 2;
/** Longer than the balancer takes to see /readyz turn (support/balancer.ts). */
const DRAIN_SECONDS = 1;
/** The service's promise, beside the time that it was told to drain. */
const EXIT_WITHIN_MS = 10_000;
/** More than any run sells. */
const STOCK = 10_000_000;
const READY_TIMEOUT_MS = 60_000;
/** Load between two restarts, so that both instances have connections and work. */
const SETTLE_MS = 300;

const ALL_ANSWERED = 'no request fails';
const ENDS_IN_TIME = 'each instance ends by itself, within 10 s';
const STORED = 'acknowledged = stored';

export const restart: Drill = {
  title: 'rolling restarts of two instances behind a balancer, under load',
  defaults: { rounds: 20, clients: 16 },
  needsOwnService: 'stops and starts the service',
  control: { breaks: ALL_ANSWERED, how: 'instances that close without draining (DRAIN_SECONDS=0)' },
  async run(run) {
    const verdict = new Verdict([ALL_ANSWERED, ENDS_IN_TIME, STORED, STOCK_ADDS_UP, NO_DRIFT]);
    const site = await openSite(run);
    const books = new Books(clientOf(site.balancer.url), verdict);
    const product = await books.createProduct(STOCK);
    const load = startLoad(run, site.balancer.url, product, verdict);
    for (const round of run.rounds()) {
      await sleep(SETTLE_MS);
      const slowest = await restartOne(site, round % INSTANCES, verdict);
      verdict.count('restarts');
      const { orders = 0, reads = 0 } = verdict.figures;
      run.progress(
        `round ${round}: ${orders} orders, ${reads} reads; ended in ${(slowest / 1000).toFixed(1)} s`,
      );
    }
    const acknowledged = await load.stop();
    const { orders } = await books.checkStock(product);
    const stored = new Set(orders.map(({ id }) => id));
    const lost = [...acknowledged].filter((id) => !stored.has(id));
    verdict.expect(STORED, lost.length === 0, () => `${lost.length} acknowledged orders are not stored`);
    const unknown = orders.filter(({ id }) => !acknowledged.has(id));
    // Under --control, a request that failed may have been stored before its connection broke.
    const failures = verdict.breachesOf(ALL_ANSWERED);
    verdict.expect(
      STORED,
      unknown.length <= failures,
      () => `${unknown.length} orders were never acknowledged`,
    );
    await books.checkDrift();
    await books.close(false);
    return verdict;
  },
};

interface Site {
  instances: ServiceProcess[];
  balancer: Balancer;
  start: (port?: number) => Promise<ServiceProcess>;
}

async function openSite({ opened, children, options }: DrillRun): Promise<Site> {
  const postgres = await openPostgres(opened, options.databaseUrl, 'drill');
  const databaseUrl = await postgres.createDatabase('shop');
  opened.add(() => children.stopAll());
  const env = {
    WEBHOOK_SECRET,
    DATABASE_URL: databaseUrl,
    DRAIN_SECONDS: String(options.control ? 0 : DRAIN_SECONDS),
  };
  const start = (port?: number) => startService(children, env, { port });
  const instances: ServiceProcess[] = [];
  for (let count = 1; count <= INSTANCES; count += 1) instances.push(await start());
  const balancer = await startBalancer(instances.map(({ url }) => url));
  opened.add(() => balancer.close());
  return { instances, balancer, start };
}

/** @returns how long the instance took to end, in milliseconds */
async function restartOne(
  { instances, balancer, start }: Site,
  index: number,
  verdict: Verdict,
): Promise<number> {
  const instance = instances[index] as ServiceProcess;
  const port = Number(new URL(instance.url).port);
  const idlers = await Promise.all(IDLERS.map((text) => openIdler(port, text)));
  const stoppedAt = performance.now();
  const end = await instance.stop();
  const tookMs = performance.now() - stoppedAt;
  for (const idler of idlers) idler.destroy();
  verdict.expect(
    ENDS_IN_TIME,
    end === 0 && tookMs < EXIT_WITHIN_MS,
    () => `it ended with ${end} after ${(tookMs / 1000).toFixed(1)} s`,
  );
  instances[index] = await start(port);
  const giveUpAt = performance.now() + READY_TIMEOUT_MS;
  while (!balancer.isReady(index)) {
    if (performance.now() > giveUpAt) throw new Error('the balancer does not see the restarted instance');
    await sleep(20);
  }
  return tookMs;
}

/** Nothing, half a head, and half a body. */
const IDLERS = [
  '',
  'GET /health HTTP/1.1\r\nHost: localh',
  'POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"prod',
];

async function openIdler(port: number, text: string): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  // The instance cuts it when it ends.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

/** Callers that order and read by turns. @returns how to end them; resolves to the ids of the acknowledged orders */
function startLoad(
  { clients }: DrillRun,
  url: string,
  product: DrillProduct,
  verdict: Verdict,
): { stop(): Promise<Set<number>> } {
  const client = clientOf(url);
  const acknowledged = new Set<number>();
  const over = new AbortController();
  const order = async (key: string) => {
    const body = { product_id: product.id, quantity: 1, customer_email: emailOf(key) };
    const answer = await answerTo(client.call<Order>('POST', '/orders', { body }));
    verdict.expect(ALL_ANSWERED, answer.status === 201, () => describe(answer));
    if (answer.status === 201) acknowledged.add(answer.body.id);
    verdict.count('orders');
  };
  const read = async () => {
    const answer = await answerTo(client.call<Product>('GET', `/products/${product.id}`));
    verdict.expect(ALL_ANSWERED, answer.status === 200, () => describe(answer));
    verdict.count('reads');
  };
  const work = async (caller: number) => {
    for (let call = 0; !over.signal.aborted; call += 1)
      await (call % 2 === 0 ? order(`restart-${caller}-${call}`) : read());
  };
  const done = Promise.all(Array.from({ length: clients }, (_, caller) => work(caller)));
  // Told where it is awaited.
  done.catch(() => undefined);
  return {
    async stop() {
      over.abort();
      await done;
      return acknowledged;
    },
  };
}
