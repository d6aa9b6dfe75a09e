import type { Bench } from './bench.ts';
import { COMPARED } from './goals.ts';
import { httpStep, type Step } from './measure.ts';
import { bareReadStep, createPeerTables, startEcho, startPlain } from './peers.ts';
import { Pgbench } from './pgbench.ts';
import { Shop } from './shop.ts';
import * as works from './works.ts';

const { JUDGED_CONNECTIONS } = works;

const PRODUCTS = 50;
const PGBENCH_CLIENTS = 32;
/** The prefix of what is measured of the other version. */
export const OTHER = 'other.';
/** One step of each kind is enough to compile what answers. */
const WARM_UP = /^(pgbench\.hot|(echo\.(post|get)|orders\.spread|get)\.100|plain\.spread|payments\.100)$/;

const isWarmUp = ({ name }: Step) => WARM_UP.test(name.replace(OTHER, ''));

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
  const own = (work: works.Work) => works.stepOf(shop, work);

  const { productIds } = shop;
  const peerIds = productIds.map((_, index) => index + 1);
  const each = (steps: (count: number) => Step[]) => connections.flatMap(steps);
  const bare = (name: string, clients: number, last: number) =>
    pgbench === undefined ? [] : [pgbench.step(name, { clients, first: 1, last })];
  const steps = [
    ...bare('pgbench.hot', PGBENCH_CLIENTS, 1),
    ...each((count) => [
      httpStep(bench, `echo.post.${count}`, echo, works.hotLoad(count)(productIds)),
      own(works.hot(count)),
    ]),
    httpStep(bench, 'plain.hot', plain, works.hotLoad(JUDGED_CONNECTIONS)(peerIds)),
    ...bare('pgbench.spread', PGBENCH_CLIENTS, PRODUCTS),
    ...each((count) => [own(works.spread(count))]),
    httpStep(bench, 'plain.spread', plain, works.spreadLoad(JUDGED_CONNECTIONS)(peerIds)),
    ...each((count) => [
      httpStep(bench, `echo.get.${count}`, echo, works.readLoad(count)(productIds)),
      own(works.read(count)),
    ]),
    own(works.mix),
    ...bare('pgbench.latency', 1, 1),
    own(works.orderLatency),
    await bareReadStep(bench, shop),
    own(works.readLatency),
  ];
  return { steps, warmUp: isWarmUp, shop, pgbenchVersion: pgbench?.version };
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

/** The service and that of another checkout, each on a database that it has migrated itself. */
export async function againstOther(bench: Bench, root: string): Promise<Contest> {
  const other = await Shop.open(bench, { name: 'other', products: PRODUCTS, root });
  const shop = await Shop.open(bench, { name: 'service', products: PRODUCTS });
  const steps = Array.from(new Set(COMPARED.map(({ work }) => work)), (work) => [
    works.stepOf(other, work, OTHER),
    works.stepOf(shop, work),
  ]).flat();
  return { steps, warmUp: isWarmUp, shop, pgbenchVersion: undefined };
}
