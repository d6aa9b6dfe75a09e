import type { Row } from './goals.ts';

/** How the figures of a row are written, in the table and in the chart alike. */
export function formatFigure({ unit }: Row, value: number | undefined): string {
  if (value === undefined) return '';
  if (unit === 'per second') return `${Math.round(value).toLocaleString('en-US')}/s`;
  return unit === 'MB' ? `${Math.round(value)} MB` : `${value.toFixed(value >= 100 ? 0 : 2)} ms`;
}

export function formatValue(row: Row): string {
  return row.isRatio ? formatRatio(row.value) : formatFigure(row, row.value);
}

export function formatSpread(row: Row): string {
  const [lowest, highest] = row.spread;
  return lowest === highest
    ? ''
    : `${formatValue({ ...row, value: lowest })} – ${formatValue({ ...row, value: highest })}`;
}

export function formatMark(row: Row, mark: number | undefined): string {
  if (mark === undefined) return '';
  const sign = row.better === 'more' ? '≥' : '≤';
  return `${sign} ${row.isRatio ? mark : `${mark} ${row.unit}`}`;
}

function formatRatio(value: number): string {
  return `${value.toFixed(value >= 10 ? 1 : 2)} ×`;
}
