import type { Measurement, Measurements } from './measure.ts';
import type { MemorySummary } from './memory.ts';
import { median } from './statistics.ts';
import {
  hot,
  JUDGED_CONNECTIONS,
  mix,
  MIX_CONNECTIONS,
  orderLatency,
  payments,
  read,
  readLatency,
  spread,
  type Work,
} from './works.ts';

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

const judgedBy = (
  standard: Pick<Standard, 'unit' | 'better'>,
  group: string,
  mustHold: number,
  goal: number,
): Standard => ({ ...standard, group, mustHold, goal });

// The figures are those of the project's performance goals.
const HOT = judgedBy(rate, 'Orders of one hot product, against pgbench', 10, 20);
const SPREAD = judgedBy(rate, 'Orders over 50 products, against pgbench', 2.5, 5);
const READ = judgedBy(rate, 'GET /products/{id}, against a bare Fastify echo', 0.6, 0.9);
const POST = judgedBy(rate, 'POST /orders, against a bare Fastify echo', 0.28, 0.5);
const PLAIN: Standard = { ...rate, group: 'Orders, against one transaction an order in Node' };
const ORDER_LATENCY = judgedBy(time, "An order's latency, against pgbench with 1 client", 3, 1.3);
const READ_LATENCY = judgedBy(time, "A read's latency, against its statement on a bare pg client", 3, 1.8);
const MIX = judgedBy(time, '80 % reads, 20 % orders', 100, 20);
const MEMORY = judgedBy({ unit: 'MB', better: 'less' }, 'Memory of the service', 250, 150);
export const GROWTH = judgedBy(time, 'Latency as data grows, against an empty database', 1.3, 1.1);
/** A change may cost 2 %. */
const RATE_BEFORE = judgedBy(rate, 'Rates, against the other version', 0.98, 1);
const TIME_BEFORE = judgedBy(time, 'Latencies, against the other version', 1.02, 1);

export const perSecond = (measurement: Measurement) => measurement.perSecond;
export const p50 = ({ latencyMs }: Measurement) => latencyMs.p50;
export const p99 = ({ latencyMs }: Measurement) => latencyMs.p99;

const AT = `${JUDGED_CONNECTIONS} connections`;
const MIX_AT = `${MIX_CONNECTIONS} connections`;

export function toRows(all: Measurements, connections: readonly number[]): Row[] {
  const perCount = (standard: Standard, peer: (count: number) => string, work: (count: number) => Work) =>
    connections.flatMap((count) => {
      const names = { label: `${count} connections`, peer: peer(count), service: work(count).name };
      return compare(all, standard, { ...names, figure: perSecond, judged: count === JUDGED_CONNECTIONS });
    });
  const plain = (label: string, peer: string, { name: service }: Work) =>
    compare(all, PLAIN, { label, peer, service, figure: perSecond });
  const latency = (standard: Standard, peer: string, { name: service }: Work) =>
    compare(all, standard, { label: 'median, 1 connection', peer, service, figure: p50 });
  return [
    ...perCount(HOT, () => 'pgbench.hot', hot),
    ...perCount(SPREAD, () => 'pgbench.spread', spread),
    ...perCount(READ, (count) => `echo.get.${count}`, read),
    ...perCount(POST, (count) => `echo.post.${count}`, hot),
    ...plain('one hot product', 'plain.hot', hot(JUDGED_CONNECTIONS)),
    ...plain('50 products', 'plain.spread', spread(JUDGED_CONNECTIONS)),
    ...latency(ORDER_LATENCY, 'pgbench.latency', orderLatency),
    ...latency(READ_LATENCY, 'pg.read', readLatency),
    ...absolute(MIX, `p99, ${MIX_AT}`, (all.get(mix.name) ?? []).map(p99)),
  ];
}

/** What is measured of ours and of another version: a row each, and a step for each work. */
export const COMPARED = [
  {
    standard: RATE_BEFORE,
    label: `orders of one product, ${AT}`,
    work: hot(JUDGED_CONNECTIONS),
    figure: perSecond,
  },
  {
    standard: RATE_BEFORE,
    label: `orders over 50 products, ${AT}`,
    work: spread(JUDGED_CONNECTIONS),
    figure: perSecond,
  },
  {
    standard: RATE_BEFORE,
    label: `GET /products/{id}, ${AT}`,
    work: read(JUDGED_CONNECTIONS),
    figure: perSecond,
  },
  { standard: RATE_BEFORE, label: `payments, ${AT}`, work: payments, figure: perSecond },
  { standard: RATE_BEFORE, label: `80/20 mix, ${MIX_AT}`, work: mix, figure: perSecond },
  { standard: TIME_BEFORE, label: 'an order, median, 1 connection', work: orderLatency, figure: p50 },
  {
    standard: TIME_BEFORE,
    label: 'GET /products/{id}, median, 1 connection',
    work: readLatency,
    figure: p50,
  },
  { standard: TIME_BEFORE, label: `80/20 mix, p99, ${MIX_AT}`, work: mix, figure: p99 },
];

/** Ours against another version, measured under the same names with a prefix. */
export function toRowsAgainst(all: Measurements, prefix: string): Row[] {
  return COMPARED.flatMap(({ standard, label, work: { name }, figure }) =>
    compare(all, standard, { label, peer: prefix + name, service: name, figure }),
  );
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
  return [toRow(standard, judged, ratios, { label, ...figures })];
}

function absolute(standard: Standard, label: string, values: readonly number[]): Row[] {
  if (values.length === 0) return [];
  const figures = { peer: undefined, service: median(values), isRatio: false };
  return [toRow(standard, true, values, { label, ...figures })];
}

function toRow(
  standard: Standard,
  judged: boolean,
  values: readonly number[],
  figures: Pick<Row, 'label' | 'peer' | 'service' | 'isRatio'>,
): Row {
  const value = median(values);
  return {
    ...standard,
    ...figures,
    value,
    spread: [Math.min(...values), Math.max(...values)],
    result: judged ? judge(standard, value) : undefined,
  };
}

function judge({ better, mustHold, goal }: Standard, value: number): Row['result'] {
  if (mustHold === undefined || goal === undefined) return undefined;
  const reaches = (mark: number) => (better === 'more' ? value >= mark : value <= mark);
  if (reaches(goal)) return 'goal';
  return reaches(mustHold) ? 'ok' : 'missed';
}
