import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { loadConfig } from '../../src/config.ts';

/** What `npm run smoke` and its kin read, and the service does not. */
const TOOL_SETTINGS = ['API_KEY', 'BASE_URL'];

/** The names that `loadConfig` asks the environment for. */
function settings(): string[] {
  const names = new Set<string>();
  const env: Record<string, string> = {};
  const watched = new Proxy(env, {
    get(_target, name) {
      names.add(String(name));
      return undefined;
    },
  });
  loadConfig(watched);
  return [...names].toSorted();
}

test('.env.example and the README list every setting, and none that there is not', () => {
  const all = settings();
  expect(all).toContain('PORT');
  const example = readFileSync('.env.example', 'utf8').matchAll(/^(?:# )?([A-Z_]+)=/gm);
  expect([...example].map(([, name = '']) => name).toSorted()).toEqual(all);
  const section = readFileSync('README.md', 'utf8').split('\n## Settings\n')[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, name = '']) => name),
  );
  expect(named.toSorted()).toEqual([...all, ...TOOL_SETTINGS].toSorted());
});
