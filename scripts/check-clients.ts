import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { readArguments, runScript, ScriptFailure } from './support/arguments.ts';
import { ENVIRONMENT_USAGE, readEnvironment } from './support/environment.ts';

const USAGE = `Makes clients from the document of a running service, and places orders with them.

  npm run check:clients

${ENVIRONMENT_USAGE}
The service must be an open one that may be written to. scripts/check-clients/README.md says what is held. The first run installs the generators into that folder.
Exit code: 0 when all is well, 1 when not, 2 for wrong arguments.
`;

const folder = path.join(import.meta.dirname, 'check-clients');
const generated = path.join(folder, 'generated');
const run = promisify(execFile);

/** The longest that a step may take on a busy machine; the installation takes the most. */
const PATIENCE_MS = 300_000;

const GENERATORS = {
  'openapi-typescript': 'openapi-typescript generated/openapi.json -o generated/openapi-typescript.d.ts',
  'hey-api':
    'openapi-ts -i ./generated/openapi.json -o ./generated/hey-api -c @hey-api/client-fetch -p @hey-api/typescript @hey-api/sdk',
  orval: 'orval --config orval.config.mjs',
  'swagger-typescript-api':
    'swagger-typescript-api generate -p generated/openapi.json -o generated/swagger-typescript-api -n api.ts',
};

const PROGRAMS = ['openapi-fetch', 'hey-api', 'orval', 'swagger-typescript-api'];

await runScript(USAGE, async (args) => {
  readArguments(args, {});
  const { baseUrl, webhookSecret } = readEnvironment();
  const env = { ...process.env, BASE_URL: baseUrl, WEBHOOK_SECRET: webhookSecret };
  const step = (name: string, command: string, ...parameters: string[]) =>
    takeStep(name, command, parameters, env);

  await rm(generated, { recursive: true, force: true });
  await mkdir(generated, { recursive: true });
  await step(
    'install the generators',
    'npm',
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  );
  await writeFile(path.join(generated, 'openapi.json'), await fetchDocument(baseUrl));
  for (const [name, line] of Object.entries(GENERATORS)) {
    const [command = '', ...parameters] = line.split(' ');
    await step(`generate by ${name}`, path.join(folder, 'node_modules', '.bin', command), ...parameters);
  }
  await step('compile them all, strictly', path.join(folder, 'node_modules', '.bin', 'tsc'), '-p', '.');
  for (const name of PROGRAMS) {
    await step(`place an order by ${name}`, process.execPath, '--import', 'tsx', `programs/${name}.ts`);
  }
  await step("send the bodies of Postman's import", process.execPath, 'postman-bodies.mjs');
  return 0;
});

async function takeStep(
  name: string,
  command: string,
  parameters: string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const begun = performance.now();
  try {
    await run(command, parameters, { cwd: folder, env, timeout: PATIENCE_MS, maxBuffer: 2 ** 26 });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new ScriptFailure(`Could not ${name}:\n${stdout}${stderr}`);
  }
  process.stdout.write(`${name}: ${((performance.now() - begun) / 1000).toFixed(1)} s\n`);
}

async function fetchDocument(baseUrl: string): Promise<string> {
  try {
    return await (await fetch(`${baseUrl}/openapi.json`, { signal: AbortSignal.timeout(10_000) })).text();
  } catch {
    throw new ScriptFailure(`There is no service at ${baseUrl}.`);
  }
}
