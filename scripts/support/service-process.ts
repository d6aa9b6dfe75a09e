import { existsSync } from 'node:fs';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type Children, collectErrors, freePort, pidOf } from './children.ts';

const SERVER = new URL('../../dist/server.js', import.meta.url);
/** A new database below DATA_DIR takes seconds, and the recovery of one that was killed may take longer. */
const START_TIMEOUT_MS = 60_000;

export interface ServiceProcess {
  url: string;
  pid: number;
  /** Whether its process is over, for whatever reason. */
  ended(): boolean;
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/**
 * The built service with its defaults, in a process of its own; its log lines go to the null device.
 * @param port the one of a service that was there before; without it, a free one
 */
export async function startService(
  children: Children,
  env: Record<string, string>,
  port?: number,
): Promise<ServiceProcess> {
  if (!existsSync(SERVER)) throw new Error('dist/server.js is missing: run npm run build.');
  const chosen = port ?? (await freePort());
  const child = children.spawn(process.execPath, [fileURLToPath(SERVER)], {
    env: { ...env, PORT: String(chosen) },
    // Not the project's own folder: a .env in it is a person's, not ours.
    cwd: os.tmpdir(),
    output: 'none',
  });
  const errors = collectErrors(child);
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const url = `http://127.0.0.1:${chosen}`;
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(`${url}/health`))) {
    if (ended()) throw new Error(`the service ended: ${errors()}`);
    if (performance.now() > giveUpAt) throw new Error('the service did not come up');
    await sleep(50);
  }
  return {
    url,
    pid: pidOf(child),
    ended,
    stop: () => children.stop(child),
    kill: () => children.stop(child, 'SIGKILL'),
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
