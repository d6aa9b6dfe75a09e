import type { Measurement, Measurements } from './measure.ts';
import type { MemorySummary } from './memory.ts';
import { median } from './statistics.ts';
import { JUDGED_CONNECTIONS, MIX_CONNECTIONS } from './works.ts';

/** One line of the table, and one bar of the chart. */
export interface Row extends Standard {
  label: string;
  /** Medians of the rounds. */
  peer: number | undefined;
  service: number;
  /** What is judged: the median of the rounds' ratios, or the figure itself where there is no peer. */
  value: number;
  isRatio: boolean;
  /** The lowest and the highest of the rounds' values. */
  spread: readonly [number, number];
  /** Undefined for rows that only show the shape. */
  result: 'goal' | 'ok' | 'missed' | undefined;
}

interface Standard {
  /** Rows of one group are compared with the same peer. */
  group: string;
  unit: 'per second' | 'ms' | 'MB';
  better: 'more' | 'less';
  mustHold?: number;
  goal?: number;
}

const rate = { unit: 'per second', better: 'more' } as const;
const time = { unit: 'ms', better: 'less' } as const;

// The figures are those of the project's performance goals.
const HOT: Standard = {
  ...rate,
  group: 'Orders of one hot product, against pgbench',
  mustHold: 10,
  goal: 20,
};
const SPREAD: Standard = {
  ...rate,
  group: 'Orders over 50 products, against pgbench',
  mustHold: 2.5,
  goal: 5,
};
const READ: Standard = {
  ...rate,
  group: 'GET /products/{id}, against a bare Fastify echo',
  mustHold: 0.6,
  goal: 0.9,
};
const POST: Standard = {
  ...rate,
  group: 'POST /orders, against a bare Fastify echo',
  mustHold: 0.28,
  goal: 0.5,
};
const PLAIN: Standard = { ...rate, group: 'Orders, against one transaction an order in Node' };
const ORDER_LATENCY: Standard = {
  ...time,
  group: "An order's latency, against pgbench with 1 client",
  mustHold: 3,
  goal: 1.3,
};
const READ_LATENCY: Standard = {
  ...time,
  group: "A read's latency, against its statement on a bare pg client",
  mustHold: 3,
  goal: 1.8,
};
const MIX: Standard = { ...time, group: '80 % reads, 20 % orders', mustHold: 100, goal: 20 };
const MEMORY: Standard = {
  unit: 'MB',
  better: 'less',
  group: 'Memory of the service',
  mustHold: 250,
  goal: 150,
};
export const GROWTH: Standard = {
  ...time,
  group: 'Latency as data grows, against an empty database',
  mustHold: 1.3,
  goal: 1.1,
};
/** A change may cost 2 %. */
const RATE_BEFORE: Standard = { ...rate, group: 'Rates, against the other version', mustHold: 0.98, goal: 1 };
const TIME_BEFORE: Standard = {
  ...time,
  group: 'Latencies, against the other version',
  mustHold: 1.02,
  goal: 1,
};

export const perSecond = (measurement: Measurement) => measurement.perSecond;
export const p50 = ({ latencyMs }: Measurement) => latencyMs.p50;
export const p99 = ({ latencyMs }: Measurement) => latencyMs.p99;

type Named = (connections: number) => string;
const hotOrders: Named = (count) => `orders.hot.${count}`;
const spreadOrders: Named = (count) => `orders.spread.${count}`;

export function toRows(all: Measurements, connections: readonly number[]): Row[] {
  const perCount = (standard: Standard, peer: Named, service: Named) =>
    connections.flatMap((count) => {
      const names = { label: `${count} connections`, peer: peer(count), service: service(count) };
      return compare(all, standard, { ...names, figure: perSecond, judged: count === JUDGED_CONNECTIONS });
    });
  const plain = (label: string, peer: string, service: string) =>
    compare(all, PLAIN, { label, peer, service, figure: perSecond });
  const latency = (standard: Standard, peer: string, service: string) =>
    compare(all, standard, { label: 'median, 1 connection', peer, service, figure: p50 });
  return [
    ...perCount(HOT, () => 'pgbench.hot', hotOrders),
    ...perCount(SPREAD, () => 'pgbench.spread', spreadOrders),
    ...perCount(
      READ,
      (count) => `echo.get.${count}`,
      (count) => `get.${count}`,
    ),
    ...perCount(POST, (count) => `echo.post.${count}`, hotOrders),
    ...plain('one hot product', 'plain.hot', hotOrders(JUDGED_CONNECTIONS)),
    ...plain('50 products', 'plain.spread', spreadOrders(JUDGED_CONNECTIONS)),
    ...latency(ORDER_LATENCY, 'pgbench.latency', 'orders.latency'),
    ...latency(READ_LATENCY, 'pg.read', 'get.latency'),
    ...absolute(MIX, `p99, ${MIX_CONNECTIONS} connections`, (all.get('mix') ?? []).map(p99)),
  ];
}

/** Ours against another version, measured under the same names with a prefix. */
export function toRowsAgainst(all: Measurements, prefix: string): Row[] {
  const versus = (standard: Standard, label: string, name: string, figure: (one: Measurement) => number) =>
    compare(all, standard, { label, peer: prefix + name, service: name, figure });
  const at = `${JUDGED_CONNECTIONS} connections`;
  return [
    ...versus(RATE_BEFORE, `orders of one product, ${at}`, `orders.hot.${JUDGED_CONNECTIONS}`, perSecond),
    ...versus(
      RATE_BEFORE,
      `orders over 50 products, ${at}`,
      `orders.spread.${JUDGED_CONNECTIONS}`,
      perSecond,
    ),
    ...versus(RATE_BEFORE, `GET /products/{id}, ${at}`, `get.${JUDGED_CONNECTIONS}`, perSecond),
    ...versus(RATE_BEFORE, `payments, ${at}`, `payments.${JUDGED_CONNECTIONS}`, perSecond),
    ...versus(RATE_BEFORE, `80/20 mix, ${MIX_CONNECTIONS} connections`, 'mix', perSecond),
    ...versus(TIME_BEFORE, 'an order, median, 1 connection', 'orders.latency', p50),
    ...versus(TIME_BEFORE, 'GET /products/{id}, median, 1 connection', 'get.latency', p50),
    ...versus(TIME_BEFORE, `80/20 mix, p99, ${MIX_CONNECTIONS} connections`, 'mix', p99),
  ];
}

export function memoryRow(memory: MemorySummary | undefined, orders: number): Row[] {
  const placed = orders.toLocaleString('en-US');
  return absolute(MEMORY, `most, after ${placed} orders`, memory === undefined ? [] : [memory.maxMb]);
}

interface Comparison {
  label: string;
  peer: string;
  service: string;
  figure: (measurement: Measurement) => number;
  judged?: boolean;
}

export function compare(all: Measurements, standard: Standard, comparison: Comparison): Row[] {
  const { label, figure, judged = true } = comparison;
  const service = (all.get(comparison.service) ?? []).map(figure);
  const peer = (all.get(comparison.peer) ?? []).map(figure);
  if (service.length === 0 || peer.length === 0) return [];
  // Ratios within each round first: what slows the machine in one round slows both sides of it.
  const ratios = service.map((own, round) => own / (peer[round] ?? Number.NaN));
  const figures = { peer: median(peer), service: median(service), isRatio: true };
  return [toRow(standard, label, ratios, figures, judged)];
}

function absolute(standard: Standard, label: string, values: readonly number[]): Row[] {
  if (values.length === 0) return [];
  const figures = { peer: undefined, service: median(values), isRatio: false };
  return [toRow(standard, label, values, figures, true)];
}

function toRow(
  standard: Standard,
  label: string,
  values: readonly number[],
  figures: Pick<Row, 'peer' | 'service' | 'isRatio'>,
  judged: boolean,
): Row {
  const value = median(values);
  const spread = [Math.min(...values), Math.max(...values)] as const;
  return {
    ...standard,
    label,
    ...figures,
    value,
    spread,
    result: judged ? judge(standard, value) : undefined,
  };
}

function judge({ better, mustHold, goal }: Standard, value: number): Row['result'] {
  if (mustHold === undefined || goal === undefined) return undefined;
  const reaches = (mark: number) => (better === 'more' ? value >= mark : value <= mark);
  if (reaches(goal)) return 'goal';
  return reaches(mustHold) ? 'ok' : 'missed';
}
