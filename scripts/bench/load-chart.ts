import type { LoadSecond } from './http-load.ts';
import { GRID, panel, SOFT, text, WIDTH } from './svg.ts';

const LEFT = 76;
const RIGHT = 24;
const PLOT_HEIGHT = 190;
const GRID_LINES = 4;

interface Series {
  label: string;
  color: string;
  values: readonly number[];
}

/** Requests per second and latency over time, as SVG on a white panel that any page can carry. */
export function toLoadChart(title: string, note: string, seconds: readonly LoadSecond[]): string {
  const rates = [
    { label: 'requests/s', color: '#0969da', values: seconds.map((second) => second.requestsPerSecond) },
  ];
  const latencies = [
    { label: 'p99', color: '#cf222e', values: seconds.map(({ latencyMs }) => latencyMs.p99) },
    { label: 'p95', color: '#bf8700', values: seconds.map(({ latencyMs }) => latencyMs.p95) },
    { label: 'p50', color: '#1a7f37', values: seconds.map(({ latencyMs }) => latencyMs.p50) },
  ];
  const height = 110 + 2 * (PLOT_HEIGHT + 70);
  return panel({ title, notes: [note], height }, [
    drawPlot('Requests per second', rates, 110),
    drawPlot('Latency, ms', latencies, 110 + PLOT_HEIGHT + 70),
  ]);
}

function drawPlot(title: string, series: readonly Series[], top: number): string {
  const bottom = top + PLOT_HEIGHT;
  const count = Math.max(0, ...series.map(({ values }) => values.length));
  const most = niceCeiling(Math.max(1, ...series.flatMap(({ values }) => values)));
  const x = (index: number) => LEFT + ((WIDTH - LEFT - RIGHT) * index) / Math.max(1, count - 1);
  const y = (value: number) => bottom - (PLOT_HEIGHT * value) / most;
  const grid = Array.from({ length: GRID_LINES + 1 }, (_, step) => {
    const value = (most * step) / GRID_LINES;
    const at = y(value);
    return [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="${GRID}"/>`,
      text(LEFT - 8, at + 4, value.toLocaleString('en-US'), { size: 11, color: SOFT, anchor: 'end' }),
    ].join('');
  });
  const lines = series.map(({ color, values }) => {
    const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`);
    return `<polyline fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round" points="${points.join(' ')}"/>`;
  });
  const legend = series.map(({ label, color }, index) => {
    const at = WIDTH - RIGHT - (series.length - index) * 90;
    return `<rect x="${at}" y="${top - 21}" width="12" height="4" fill="${color}"/>${text(at + 17, top - 16, label, { size: 12, color: SOFT })}`;
  });
  return [
    text(24, top - 16, title, { size: 13, weight: 600 }),
    ...legend,
    ...grid,
    ...lines,
    text(LEFT, bottom + 20, '1 s', { size: 11, color: SOFT, anchor: 'middle' }),
    text(WIDTH - RIGHT, bottom + 20, `${count} s`, { size: 11, color: SOFT, anchor: 'end' }),
  ].join('\n');
}

/** The next of 1, 2, 4 or 8 times a power of ten, so that the lines of the grid have round numbers. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= value) ?? value;
}
