import { readFile, writeFile } from 'node:fs/promises';

import { defaultOf, type Setting, SETTINGS } from '../src/settings.ts';
import { readArguments, runScript } from './support/arguments.ts';

const EXAMPLE = '.env.example';
const README = 'README.md';
const USAGE = `Writes ${EXAMPLE} and the table of settings in ${README} from src/settings.ts.

  npm run generate:settings

  --verify   write nothing, and fail when one of the files is another

Exit code: 0 when they are the same, 1 when not, 2 for wrong arguments.
`;

const TABLE_HEAD = '| Setting | Default | |\n|---|---|---|\n';
/** Settings of the scripts, which the service does not read. */
const SCRIPT_ROWS = [
  '| `BASE_URL`, `API_KEY` | from `HOST` and `PORT`, – | For the scripts only: where the service is, and what they send as `Authorization: Bearer` |',
];
const WIDTH = 120;

await runScript(USAGE, async (args) => {
  const { verify } = readArguments(args, { verify: { type: 'boolean', default: false } });
  const settings: [string, Setting][] = Object.entries(SETTINGS);
  const readme = await readFile(README, 'utf8');
  const files = [
    [EXAMPLE, await readFile(EXAMPLE, 'utf8'), exampleOf(settings)],
    [README, readme, withTable(readme, settings)],
  ] as const;
  const stale = files.filter(([, before, after]) => before !== after);
  if (!verify) {
    for (const [file, , text] of stale) await writeFile(file, text);
    return 0;
  }
  for (const [file] of stale) {
    process.stderr.write(`${file} does not agree with src/settings.ts; run npm run generate:settings\n`);
  }
  return stale.length === 0 ? 0 : 1;
});

function exampleOf(settings: readonly [string, Setting][]): string {
  const head = [
    '# Every setting, with its default; written from src/settings.ts. Copy to .env. The environment wins over the file.',
    '# The service checks them when it starts, and lists all faults at once.',
  ];
  const entries = settings.map(([name, setting]) => {
    const value = defaultOf(setting);
    const line = value === undefined ? `# ${name}=${setting.example ?? ''}` : `${name}=${value}`;
    return ['', ...comment(`${plain(setting.means)}.${boundsOf(setting)}`), line].join('\n');
  });
  return `${[...head, ...entries].join('\n')}\n`;
}

function boundsOf(setting: Setting): string {
  if (setting.is === 'integer') return ` From ${setting.min} to ${setting.max}.`;
  if (setting.is === 'word') return ` One of ${setting.words.join(', ')}.`;
  return '';
}

/** Markdown as text: links without their targets, code without its marks. */
function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1').replaceAll('`', '');
}

function comment(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function withTable(readme: string, settings: readonly [string, Setting][]): string {
  const start = readme.indexOf(TABLE_HEAD) + TABLE_HEAD.length;
  const end = readme.indexOf('\n\n', start);
  if (start < TABLE_HEAD.length || end < 0) throw new Error(`${README} has no table of settings`);
  const rows = settings.map(
    ([name, setting]) => `| \`${name}\` | ${shownDefault(setting)} | ${setting.means} |`,
  );
  return readme.slice(0, start) + [...rows, ...SCRIPT_ROWS].join('\n') + readme.slice(end);
}

function shownDefault(setting: Setting): string {
  const value = defaultOf(setting);
  if (value === undefined) return '–';
  const inProduction = 'inProduction' in setting ? setting.inProduction : undefined;
  if (inProduction === undefined) return `\`${value}\``;
  return `\`${value}\` (production: ${inProduction === '' ? 'none' : `\`${inProduction}\``})`;
}
