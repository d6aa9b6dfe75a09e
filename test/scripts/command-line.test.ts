import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import getPort from 'get-port';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { startChild } from '../../scripts/support/children.ts';
import { useSharedService, WEBHOOK_SECRET } from '../support/service.ts';

const SCRIPTS = path.resolve(import.meta.dirname, '..', '..', 'scripts');
const TSX = import.meta.resolve('tsx');

interface Outcome {
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** Runs a script as a person does, in a folder that has nothing but a .env file, and with an empty environment. */
async function runIn(folder: string, script: string, args: readonly string[]): Promise<Outcome> {
  const file = path.join(SCRIPTS, script);
  const [command, first] = script.endsWith('.sh') ? ['bash', []] : [process.execPath, ['--import', TSX]];
  const { exitCode, stdout, stderr } = await startChild(command, [...first, file, ...args], { cwd: folder });
  return { code: exitCode, stdout, stderr };
}

/** Runs one that only says something in this process: a process of its own takes a second to compile it. */
async function runHere(script: string, args: readonly string[]): Promise<Outcome> {
  if (script.endsWith('.sh')) return runIn(os.tmpdir(), script, args);
  const { argv } = process;
  const stdout = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const written = ({ mock }: typeof stdout) => mock.calls.map(([chunk]) => String(chunk)).join('');
  process.argv = [process.execPath, script, ...args];
  vi.resetModules();
  try {
    await import(path.join(SCRIPTS, script));
    return { code: Number(process.exitCode ?? 0), stdout: written(stdout), stderr: written(stderr) };
  } finally {
    process.argv = argv;
    process.exitCode = undefined;
    vi.restoreAllMocks();
  }
}

async function folderWith(env: Record<string, string | number>): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'orders-inventory-scripts-'));
  const lines = Object.entries(env).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(path.join(folder, '.env'), lines.join(''));
  return folder;
}

/** Every script that a person starts, with the arguments without which it would not come to calling anything. */
const CALLERS = {
  'smoke.ts': [],
  'seed.ts': [],
  'pay.ts': ['--order', '1'],
  'load.ts': ['light'],
  'curl_test.sh': [],
};
const DATABASE_USERS = { 'bench.ts': ['--quick'], 'drill.ts': ['oversell'] };
const GENERATORS = ['generate-db-types.ts', 'write-openapi.ts'];
const ALL = [...Object.keys(CALLERS), ...Object.keys(DATABASE_USERS), ...GENERATORS];

describe('9 scripts on the command line', () => {
  test.each(ALL)('%s --help: how to use it, exit code 0', async (script) => {
    const outcome = await runHere(script, ['--help']);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^[A-Z][^\n]+(\n[^\n]+)*\.\n\n {2}(npm run|bash) [^]+\nExit code: 0 /);
  });

  test.each(ALL)('%s --no-such-option: one sentence, exit code 2', async (script) => {
    const outcome = await runHere(script, ['--no-such-option']);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toMatch(/^[^\n]*'--no-such-option'; --help shows what there is\.\n$/);
  });
});

test('bench --against a folder that is no built checkout: one sentence, exit code 2', async () => {
  const outcome = await runHere('bench.ts', ['--against', os.tmpdir()]);
  expect(outcome).toMatchObject({ code: 2, stdout: '' });
  expect(outcome.stderr).toMatch(/^--against takes a built checkout [^\n]+ has no dist\/server\.js\.\n$/);
});

describe('scripts and a .env file with 2 addresses where nothing listens', () => {
  let folder: string;
  let deadPort: number;

  beforeAll(async () => {
    deadPort = await getPort({ host: '127.0.0.1' });
    const database = `postgres://nobody@127.0.0.1:${deadPort}/none`;
    const databases = { DATABASE_URL: database, BENCH_DATABASE_URL: database };
    folder = await folderWith({ HOST: '0.0.0.0', PORT: deadPort, ...databases });
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each(Object.entries(CALLERS))(
    '%s %j: one sentence that names 127.0.0.1 and the port',
    async (script, args) => {
      const outcome = await runIn(folder, script, args);
      expect(outcome).toMatchObject({ code: 1, stdout: '' });
      expect(outcome.stderr).toMatch(/^[^\n]+\n$/);
      expect(outcome.stderr).toContain(`http://127.0.0.1:${deadPort}`);
    },
  );

  test.each(Object.entries(DATABASE_USERS))(
    '%s %j: one sentence that names the database',
    async (script, args) => {
      const outcome = await runIn(folder, script, args);
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toMatch(/^[^\n]+\n$/);
      expect(outcome.stderr).toContain(`127.0.0.1:${deadPort}`);
    },
  );
});

describe('scripts and 1 service that listens', () => {
  const service = useSharedService();
  let folder: string;

  beforeAll(async () => {
    const address = await service.app.listen({ host: '127.0.0.1', port: 0 });
    folder = await folderWith({ PORT: new URL(address).port, WEBHOOK_SECRET });
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each([{ args: [] }, { args: ['--amount', '5'] }])(
    'pay --order 999 $args of 0 orders',
    async ({ args }) => {
      const outcome = await runIn(folder, 'pay.ts', ['--order', '999', ...args]);
      expect(outcome).toMatchObject({ code: 1, stderr: 'There is no order 999.\n' });
    },
  );

  test('curl_test.sh finds port and secret in .env: 0 failed', async () => {
    const outcome = await runIn(folder, 'curl_test.sh', []);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain(', 0 failed\n');
  });
});
