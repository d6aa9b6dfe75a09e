import type { Measurement } from './measure.ts';
import type { Measurements } from './rounds.ts';
import { JUDGED_CONNECTIONS, MIX_CONNECTIONS } from './rounds.ts';
import { median, type MemorySummary } from './service.ts';

/** One line of the table, and one bar of the chart. */
export interface Row {
  /** Rows of one group are compared with the same peer. */
  group: string;
  label: string;
  unit: 'per second' | 'ms' | 'MB';
  better: 'more' | 'less';
  /** Medians of the rounds. */
  peer: number | undefined;
  service: number;
  /** What is judged: the median of the rounds' ratios, or the figure itself where there is no peer. */
  value: number;
  isRatio: boolean;
  mustHold: number | undefined;
  goal: number | undefined;
  /** Undefined for rows that only show the shape. */
  result: 'goal' | 'ok' | 'missed' | undefined;
}

interface Standard {
  group: string;
  unit: Row['unit'];
  better: Row['better'];
  mustHold?: number;
  goal?: number;
}

// The figures are those of the project's performance goals.
const HOT: Standard = {
  group: 'Orders of one hot product, against pgbench',
  unit: 'per second',
  better: 'more',
  mustHold: 10,
  goal: 15,
};
const SPREAD: Standard = {
  group: 'Orders over 50 products, against pgbench',
  unit: 'per second',
  better: 'more',
  mustHold: 2.5,
  goal: 4,
};
const READ: Standard = {
  group: 'GET /products/{id}, against a bare Fastify echo',
  unit: 'per second',
  better: 'more',
  mustHold: 0.7,
  goal: 0.9,
};
const POST: Standard = {
  group: 'POST /orders, against a bare Fastify echo',
  unit: 'per second',
  better: 'more',
  mustHold: 0.3,
  goal: 0.5,
};
const PLAIN: Standard = {
  group: 'Orders, against one transaction an order in Node',
  unit: 'per second',
  better: 'more',
};
const LATENCY: Standard = {
  group: "An order's latency, against pgbench with 1 client",
  unit: 'ms',
  better: 'less',
  mustHold: 2.5,
  goal: 1.3,
};
const MIX: Standard = {
  group: '80 % reads, 20 % orders',
  unit: 'ms',
  better: 'less',
  mustHold: 100,
  goal: 25,
};
const MEMORY: Standard = {
  group: 'Memory of the service',
  unit: 'MB',
  better: 'less',
  mustHold: 250,
  goal: 150,
};
export const GROWTH: Standard = {
  group: 'Latency as data grows, against an empty database',
  unit: 'ms',
  better: 'less',
  mustHold: 1.3,
  goal: 1.1,
};

const rateOf = (measurement: Measurement) => measurement.perSecond;
const medianOf = (measurement: Measurement) => measurement.latencyMs.p50;

export function toRows(all: Measurements, connections: readonly number[]): Row[] {
  const perCount = (
    standard: Standard,
    peer: (count: number) => string,
    service: (count: number) => string,
  ) =>
    connections.flatMap((count) =>
      compare(all, standard, {
        label: `${count} connections`,
        peer: peer(count),
        service: service(count),
        figure: rateOf,
        judged: count === JUDGED_CONNECTIONS,
      }),
    );
  const plain = (label: string, peer: string, service: string) =>
    compare(all, PLAIN, { label, peer, service, figure: rateOf, judged: false });
  return [
    ...perCount(
      HOT,
      () => 'pgbench.hot',
      (count) => `orders.hot.${count}`,
    ),
    ...perCount(
      SPREAD,
      () => 'pgbench.spread',
      (count) => `orders.spread.${count}`,
    ),
    ...perCount(
      READ,
      (count) => `echo.get.${count}`,
      (count) => `get.${count}`,
    ),
    ...perCount(
      POST,
      (count) => `echo.post.${count}`,
      (count) => `orders.hot.${count}`,
    ),
    ...plain('one hot product', 'plain.hot', `orders.hot.${JUDGED_CONNECTIONS}`),
    ...plain('50 products', 'plain.spread', `orders.spread.${JUDGED_CONNECTIONS}`),
    ...compare(all, LATENCY, {
      label: 'median, 1 connection',
      peer: 'pgbench.latency',
      service: 'orders.latency',
      figure: medianOf,
      judged: true,
    }),
    ...absolute(MIX, `p99, ${MIX_CONNECTIONS} connections`, p99s(all)),
  ];
}

export function memoryRow(memory: MemorySummary | undefined, orders: number): Row[] {
  const placed = orders.toLocaleString('en-US');
  return absolute(MEMORY, `most, after ${placed} orders`, memory === undefined ? [] : [memory.maxMb]);
}

function p99s(all: Measurements): number[] {
  return (all.get('mix') ?? []).map(({ latencyMs }) => latencyMs.p99);
}

interface Comparison {
  label: string;
  peer: string;
  service: string;
  figure: (measurement: Measurement) => number;
  judged: boolean;
}

export function compare(all: Measurements, standard: Standard, comparison: Comparison): Row[] {
  const { label, figure, judged } = comparison;
  const service = (all.get(comparison.service) ?? []).map(figure);
  const peer = (all.get(comparison.peer) ?? []).map(figure);
  if (service.length === 0 || peer.length === 0) return [];
  // Ratios within each round first: what slows the machine in one round slows both sides of it.
  const value = median(service.map((own, round) => own / (peer[round] ?? Number.NaN)));
  const { mustHold, goal, ...rest } = standard;
  const row = { ...rest, label, peer: median(peer), service: median(service), value, isRatio: true };
  return [{ ...row, mustHold, goal, result: judged ? judge(standard, value) : undefined }];
}

function absolute(standard: Standard, label: string, values: readonly number[]): Row[] {
  if (values.length === 0) return [];
  const value = median(values);
  const { mustHold, goal, ...rest } = standard;
  const row = { ...rest, label, peer: undefined, service: value, value, isRatio: false };
  return [{ ...row, mustHold, goal, result: judge(standard, value) }];
}

function judge({ better, mustHold, goal }: Standard, value: number): Row['result'] {
  if (mustHold === undefined || goal === undefined) return undefined;
  const reaches = (mark: number) => (better === 'more' ? value >= mark : value <= mark);
  if (reaches(goal)) return 'goal';
  return reaches(mustHold) ? 'ok' : 'missed';
}
