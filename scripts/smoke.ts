import { randomBytes } from 'node:crypto';

import { readArguments, readWholeNumber, runScript } from './support/arguments.ts';
import { ENVIRONMENT_USAGE, readEnvironment } from './support/environment.ts';
import { createServiceClient, type ServiceClient, ServiceFailure } from './support/service-client.ts';
import * as checks from './support/smoke-checks.ts';
import { SmokeSteps } from './support/smoke-steps.ts';
import { waitUntilReady } from './support/wait-until-ready.ts';

const USAGE = `Tests a running service from outside, in ten steps.

  npm run smoke
  npm run smoke -- --wait            first wait until it is ready, for 60 s at most
  npm run smoke -- --wait=120        or as many seconds

${ENVIRONMENT_USAGE}
Every run makes products of its own and deactivates them in the end; its orders stay.
Exit code: 0 when all is well, 1 when not, 2 for wrong arguments.
`;

/** Seconds. */
const WAIT_DEFAULT = 60;
const WAIT_MAX = 9999;

await runScript(USAGE, async (args) => {
  const waitSeconds = readWait(args);
  const environment = readEnvironment();
  const client = createServiceClient(environment);
  // A service that does not answer at all needs one sentence, not a failed step and nine that were not run.
  if (waitSeconds === undefined) await client.call('GET', '/health');
  process.stdout.write(`Smoke test of ${client.baseUrl}\n\n`);
  if (waitSeconds !== undefined) await waitUntilReady(client, waitSeconds);

  // Unique, so that runs do not disturb each other, and one prefix, so that a run finds its own.
  const sku = `SMOKE-${Date.now().toString(36)}-${randomBytes(3).toString('hex')}`.toUpperCase();
  const steps = new SmokeSteps(10);
  try {
    await runSteps(steps, client, { sku, webhookSecret: environment.webhookSecret });
  } catch (error) {
    if (!(error instanceof ServiceFailure)) throw error;
    steps.printFailure(error.message);
    return 1;
  } finally {
    await checks.deactivateProducts(client, sku).catch(() => undefined);
  }
  steps.printSuccess();
  return 0;
});

async function runSteps(
  steps: SmokeSteps,
  client: ServiceClient,
  { sku, webhookSecret }: { sku: string; webhookSecret: string },
): Promise<void> {
  await steps.run('health', () => checks.checkHealth(client));
  const product = await steps.run('create product', () => checks.createProduct(client, sku));
  await steps.run('get product', () => checks.getProduct(client, product));
  const order = await steps.run('place order', () => checks.placeOrder(client, product));
  await steps.run('stock went down', () => checks.checkStock(client, product));
  await steps.run('webhook pays it', () => checks.payOrder(client, order, webhookSecret));
  await steps.run('status is PAID', () => checks.checkPaid(client, order));
  await steps.run('ledger adds up', () => checks.checkLedger(client, product, order));
  await steps.run('errors', () => checks.checkErrors(client, { product, order, webhookSecret }));
  await steps.run('lists', () => checks.checkLists(client, { product, order }));
}

/** `--wait` alone is allowed, which parseArgs does not know for an option that takes a value. */
function readWait(args: string[]): number | undefined {
  const spelledOut = args.map((arg) => (arg === '--wait' ? `--wait=${WAIT_DEFAULT}` : arg));
  const { wait } = readArguments(spelledOut, { wait: { type: 'string' } });
  return readWholeNumber('--wait', wait, WAIT_MAX);
}
