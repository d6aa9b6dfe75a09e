import { closeSync, existsSync, openSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import getPort from 'get-port';

import { ScriptFailure } from './arguments.ts';
import { type Children, pidOf } from './children.ts';

const PROJECT = path.resolve(import.meta.dirname, '..', '..');
/** A new database below DATA_DIR takes seconds, and the recovery of one that was killed may take longer. */
const START_TIMEOUT_MS = 60_000;

export interface ServiceProcess {
  url: string;
  pid: number;
  /** Whether its process has ended, for any reason. */
  ended(): boolean;
  /** SIGTERM. @returns the exit code; undefined when it did not end by itself */
  stop(): Promise<number | undefined>;
  kill(): Promise<unknown>;
}

export interface ServiceOptions {
  /** The one of a service that was there before; without it, a free one. */
  port?: number | undefined;
  /** A built checkout of this project, by default this one. */
  root?: string | undefined;
}

/** The built service with its defaults, in a process of its own; its log lines go to the null device. */
export async function startService(
  children: Children,
  env: Record<string, string>,
  { port, root = PROJECT }: ServiceOptions = {},
): Promise<ServiceProcess> {
  const entry = path.join(root, 'dist', 'server.js');
  if (!existsSync(entry)) throw new ScriptFailure(`${entry} is missing: run npm run build.`);
  const chosen = port ?? (await getPort({ host: '127.0.0.1' }));
  // A real file and not 'ignore': the child then does the work of writing its log.
  const nowhere = openSync(os.devNull, 'w');
  const child = children.start(process.execPath, [entry], {
    env: { ...env, PORT: String(chosen) },
    // Not the project's own folder: a person may have a .env there.
    cwd: os.tmpdir(),
    // The types of execa know descriptors up to 9; spawn takes any.
    stdout: nowhere as 3,
  });
  closeSync(nowhere);
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const url = `http://127.0.0.1:${chosen}`;
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(`${url}/health`))) {
    if (ended()) throw new Error(`the service ended: ${(await child).stderr}`);
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
