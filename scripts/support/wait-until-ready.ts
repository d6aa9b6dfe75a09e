import { setTimeout as sleep } from 'node:timers/promises';

import { type Answer, describeExchange, type ServiceClient, ServiceFailure } from './service-client.ts';

const INTERVAL_MS = 1000;

/**
 * Asks /readyz until it says yes, with a dot for each try that it did not.
 * @throws ServiceFailure with the last answer, when the time is over
 */
export async function waitUntilReady(client: ServiceClient, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  process.stdout.write('  Waiting until it is ready ');
  for (;;) {
    const last = await askOnce(client);
    if (last === 'ready') break;
    process.stdout.write('.');
    if (performance.now() + INTERVAL_MS > deadline) {
      process.stdout.write('\n\n');
      throw new ServiceFailure(`Not ready within ${seconds} s. The last try:\n${last}`);
    }
    await sleep(INTERVAL_MS);
  }
  process.stdout.write(' ready\n\n');
}

async function askOnce(client: ServiceClient): Promise<string> {
  try {
    const answer: Answer = await client.call('GET', '/readyz');
    return answer.status === 200 ? 'ready' : describeExchange(answer);
  } catch (error) {
    if (error instanceof ServiceFailure) return `  ${error.message}`;
    throw error;
  }
}
