import type { Row } from './goals.ts';
import { formatFigure, formatMark, formatValue } from './figures.ts';
import { INK, panel, SOFT, text, WIDTH } from './svg.ts';

/*
 * The chart of the results, written by hand as SVG. Each group of bars has its own scale, chosen so that its goal stands
 * at the same place in all of them: what reaches the line has reached the goal. Where less is better, the line is what
 * must hold, and a bar should stay short of it.
 */
const LEFT = 210;
const BAR_AREA = 430;
const MARK_AT = 0.72;
const ROW_HEIGHT = 24;
const BAR_HEIGHT = 14;
const HEADING_HEIGHT = 34;
const TOP = 116;

const COLORS = {
  goal: '#1a7f37',
  ok: '#0969da',
  missed: '#cf222e',
  shape: '#8c959f',
  track: '#eff2f5',
} as const;

export interface ChartText {
  title: string;
  /** Two lines below the title. */
  notes: readonly string[];
}

export function toChart(rows: readonly Row[], { title, notes }: ChartText): string {
  const parts: string[] = [];
  let y = TOP;
  for (const [group, members] of groupsOf(rows)) {
    parts.push(drawHeading(group, members, y));
    y += HEADING_HEIGHT;
    const scale = scaleOf(members);
    for (const row of members) {
      parts.push(drawBar(row, scale, y));
      y += ROW_HEIGHT;
    }
    parts.push(drawMarks(members, scale, y));
    y += 8;
  }
  const height = y + 20;
  return panel({ title, notes, height }, [drawLegend(TOP - 12), ...parts]);
}

function groupsOf(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const members = groups.get(row.group) ?? [];
    members.push(row);
    groups.set(row.group, members);
  }
  return groups;
}

/** Pixels for each unit of the value. */
function scaleOf(members: readonly Row[]): number {
  const [first] = members;
  const largest = Math.max(...members.map(({ value }) => value));
  const mark = first?.better === 'more' ? first.goal : first?.mustHold;
  if (mark === undefined) return (BAR_AREA * 0.95) / largest;
  return (BAR_AREA * MARK_AT) / mark;
}

function drawHeading(group: string, members: readonly Row[], y: number): string {
  const [row] = members;
  if (row === undefined) return '';
  const marks =
    row.goal === undefined
      ? 'no goal; for scale'
      : `must hold ${formatMark(row, row.mustHold)} · goal ${formatMark(row, row.goal)}${row.better === 'less' ? ' · less is better' : ''}`;
  return [
    text(24, y + 24, group, { size: 13, weight: 600 }),
    text(WIDTH - 24, y + 24, marks, { size: 11, color: SOFT, anchor: 'end' }),
  ].join('\n');
}

function drawBar(row: Row, scale: number, y: number): string {
  const width = Math.min(BAR_AREA, Math.max(1, row.value * scale));
  const color = COLORS[row.result ?? 'shape'];
  const figures =
    row.peer === undefined ? '' : `${formatFigure(row, row.service)} to ${formatFigure(row, row.peer)}`;
  const barY = y + (ROW_HEIGHT - BAR_HEIGHT) / 2;
  const textY = y + ROW_HEIGHT / 2 + 4;
  return [
    text(LEFT - 12, textY, row.label, { size: 12, color: SOFT, anchor: 'end' }),
    `<rect x="${LEFT}" y="${barY}" width="${BAR_AREA}" height="${BAR_HEIGHT}" rx="2" fill="${COLORS.track}"/>`,
    `<rect x="${LEFT}" y="${barY}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2" fill="${color}"/>`,
    text(LEFT + BAR_AREA + 12, textY, formatValue(row), { size: 13, weight: 600 }),
    text(WIDTH - 24, textY, figures, { size: 11, color: SOFT, anchor: 'end' }),
  ].join('\n');
}

/** Over the bars of the whole group: dashed for what must hold, solid for the goal. */
function drawMarks(members: readonly Row[], scale: number, bottom: number): string {
  const [row] = members;
  if (row?.mustHold === undefined || row.goal === undefined) return '';
  const top = bottom - members.length * ROW_HEIGHT + 2;
  return [
    line(LEFT + row.mustHold * scale, top, bottom - 2, true),
    line(LEFT + row.goal * scale, top, bottom - 2, false),
  ].join('\n');
}

function drawLegend(y: number): string {
  const entries = [
    ['goal', 'goal reached'],
    ['ok', 'what must hold, holds'],
    ['missed', 'missed'],
    ['shape', 'not judged'],
  ] as const;
  const boxes = entries.map(([kind, label], index) => {
    const x = 24 + index * 150;
    return `<rect x="${x}" y="${y - 9}" width="10" height="10" rx="2" fill="${COLORS[kind]}"/>${text(x + 15, y, label, { size: 11, color: SOFT })}`;
  });
  const x = 24 + entries.length * 150;
  return [
    ...boxes,
    line(x, y - 10, y + 2, true),
    text(x + 7, y, 'must hold', { size: 11, color: SOFT }),
    line(x + 75, y - 10, y + 2, false),
    text(x + 82, y, 'goal', { size: 11, color: SOFT }),
  ].join('\n');
}

function line(x: number, y1: number, y2: number, dashed: boolean): string {
  const dashes = dashed ? ' stroke-dasharray="3 2"' : '';
  return `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${y1}" y2="${y2}" stroke="${INK}" stroke-width="1.5"${dashes}/>`;
}
