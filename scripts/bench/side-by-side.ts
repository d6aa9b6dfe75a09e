import type { Bench } from './bench.ts';
import { httpStep, type Step } from './measure.ts';
import { bareReadStep, createPeerTables, startEcho, startPlain } from './peers.ts';
import { Pgbench } from './pgbench.ts';
import { Shop } from './shop.ts';
import { JUDGED_CONNECTIONS, loads, Works } from './works.ts';

const PRODUCTS = 50;
const PGBENCH_CLIENTS = 32;
/** One step of each kind is enough to compile what answers. */
const WARM_UP = /^(pgbench\.hot|(echo\.(post|get)|orders\.spread|get)\.100|plain\.spread|payments\.100)$/;

/** What a run measures: steps, each beside what it is compared with, and the service that it is all about. */
export interface Contest {
  steps: Step[];
  warmUp: (step: Step) => boolean;
  shop: Shop;
  pgbenchVersion: string | undefined;
}

/** The service, and what it is measured by: PostgreSQL's own client, a bare Fastify, one transaction an order. */
export async function againstPeers(bench: Bench, connections: readonly number[]): Promise<Contest> {
  const databaseUrl = await createPeerTables(bench, PRODUCTS);
  const pgbench = await Pgbench.find(bench, databaseUrl);
  if (pgbench === undefined) bench.say('pgbench was not found: what is compared with it is left out');
  const echo = await startEcho(bench, await exampleAnswers(bench));
  const plain = await startPlain(bench, databaseUrl);
  const shop = await Shop.open(bench, { name: 'service', products: PRODUCTS });
  const works = new Works(shop);

  const { productIds } = shop;
  const peerIds = productIds.map((_, index) => index + 1);
  const each = (steps: (count: number) => Step[]) => connections.flatMap(steps);
  const bare = (name: string, clients: number, last: number) =>
    pgbench === undefined ? [] : [pgbench.step(name, { clients, first: 1, last })];
  const steps = [
    ...bare('pgbench.hot', PGBENCH_CLIENTS, 1),
    ...each((count) => [
      httpStep(bench, `echo.post.${count}`, echo, loads.hot(productIds, count)),
      works.hot(count),
    ]),
    httpStep(bench, 'plain.hot', plain, loads.hot(peerIds, JUDGED_CONNECTIONS)),
    ...bare('pgbench.spread', PGBENCH_CLIENTS, PRODUCTS),
    ...each((count) => [works.spread(count)]),
    httpStep(bench, 'plain.spread', plain, loads.spread(peerIds, JUDGED_CONNECTIONS)),
    ...each((count) => [
      httpStep(bench, `echo.get.${count}`, echo, loads.read(productIds, count)),
      works.read(count),
    ]),
    works.mix(),
    ...bare('pgbench.latency', 1, 1),
    works.orderLatency(),
    await bareReadStep(bench, shop),
    works.readLatency(),
  ];
  return { steps, warmUp: ({ name }) => WARM_UP.test(name), shop, pgbenchVersion: pgbench?.version };
}

/** What a service answers, of one that is gone again, so that the measured database starts without orders. */
async function exampleAnswers(bench: Bench): Promise<{ product: unknown; order: unknown }> {
  const shop = await Shop.open(bench, { name: 'example', products: 1 });
  const [id = 0] = shop.productIds;
  const order = await shop.ask('POST', '/orders', 201, { product_id: id, quantity: 1 });
  const product = await shop.ask('GET', `/products/${id}`, 200);
  await shop.service.stop();
  return { product, order };
}

/** The prefix of what is measured of the other version. */
export const OTHER = 'other.';

/** The service and that of another checkout, each on a database that it has migrated itself. */
export async function againstOther(bench: Bench, root: string): Promise<Contest> {
  const other = new Works(await Shop.open(bench, { name: 'other', products: PRODUCTS, root }), OTHER);
  const shop = await Shop.open(bench, { name: 'service', products: PRODUCTS });
  const ours = new Works(shop);
  const works: ((side: Works) => Step)[] = [
    (side) => side.hot(JUDGED_CONNECTIONS),
    (side) => side.spread(JUDGED_CONNECTIONS),
    (side) => side.payments(JUDGED_CONNECTIONS),
    (side) => side.read(JUDGED_CONNECTIONS),
    (side) => side.mix(),
    (side) => side.orderLatency(),
    (side) => side.readLatency(),
  ];
  const steps = works.flatMap((work) => [work(other), work(ours)]);
  const warmUp = ({ name }: Step) => WARM_UP.test(name.replace(OTHER, ''));
  return { steps, warmUp, shop, pgbenchVersion: undefined };
}
