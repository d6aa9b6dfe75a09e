import { styleText } from 'node:util';

type Style = 'green' | 'red' | 'yellow' | 'dim' | 'bold';

/** Colours for people only: not in a file, a pipe or a log, and not where NO_COLOR asks for none. */
const coloured = process.stdout.isTTY && !process.env['NO_COLOR'];

export function paint(style: Style, text: string): string {
  return coloured ? styleText(style, text) : text;
}

export interface Column<T> {
  title: string;
  value: (row: T) => string | number;
}

/** A plain table, numbers to the right. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const rendered = columns.map(({ title, value }) => {
    const values = rows.map(value);
    const cells = [title, ...values.map(String)];
    const width = Math.max(...cells.map((cell) => cell.length));
    const right = values.every((cell) => /^\d+(\.\d+)?$/.test(String(cell)));
    return cells.map((cell) => (right ? cell.padStart(width) : cell.padEnd(width)));
  });
  const lines = Array.from({ length: rows.length + 1 }, (_, line) =>
    `  ${rendered.map((cells) => cells[line]).join('   ')}`.trimEnd(),
  );
  const [head = '', ...body] = lines;
  return [paint('dim', head), ...body].join('\n');
}
