import type { Row } from './goals.ts';
import { formatFigure, formatMark, formatSpread, formatValue } from './figures.ts';

const COLUMNS = ['', 'peer', 'service', 'ratio', 'spread', 'must hold', 'goal', 'result'];

/** The rows as text, a heading for each group. */
export function toTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    `  ${row.label}`,
    formatFigure(row, row.peer),
    formatFigure(row, row.service),
    row.isRatio ? formatValue(row) : '',
    formatSpread(row),
    formatMark(row, row.mustHold),
    formatMark(row, row.goal),
    row.result ?? '',
  ]);
  const widths = COLUMNS.map((title, column) =>
    Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)),
  );
  const toLine = (line: readonly string[]) =>
    line
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 || column === line.length - 1 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('   ')
      .trimEnd();
  const lines = [toLine(COLUMNS)];
  let group = '';
  for (const [index, row] of rows.entries()) {
    if (row.group !== group) lines.push('', row.group);
    group = row.group;
    lines.push(toLine(cells[index] ?? []));
  }
  return lines.join('\n');
}
