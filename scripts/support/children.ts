import { type ChildProcess, fork, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** The service promises to close within 10 s; a child that takes longer is killed. */
const STOP_TIMEOUT_MS = 11_000;

/** Every process that a script starts; `stopAll` ends them, and then none can be started any more. */
export class Children {
  readonly #running = new Set<ChildProcess>();
  #closed = false;

  /** Runs a module of this project in the way that the script itself runs. */
  fork(module: URL, args: string[] = [], env: Record<string, string> = {}): ChildProcess {
    this.#requireOpen();
    const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as ['ignore', 'ignore', 'pipe', 'ipc'];
    return this.#add(fork(module, args, { env: bareEnvironment(env), stdio }));
  }

  /** A module that calls `serveParent`. @returns once it listens */
  async serve(
    module: URL,
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ url: string; pid: number }> {
    const child = this.fork(module, args, env);
    const errors = collectErrors(child);
    const url = await new Promise<string>((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', () => reject(new Error(`${path.basename(module.pathname)} ended: ${errors()}`)));
    });
    return { url, pid: pidOf(child) };
  }

  /** @param output where standard output goes: kept for the caller to read, or nowhere */
  spawn(
    command: string,
    args: string[],
    options: { env: Record<string, string>; cwd: string; output: 'pipe' | 'none' },
  ): ChildProcess {
    this.#requireOpen();
    // A real file and not 'ignore': the child then does the work of writing its log.
    const sink = options.output === 'none' ? openSync(os.devNull, 'w') : undefined;
    try {
      const { env, cwd } = options;
      const stdio = ['ignore', sink ?? 'pipe', 'pipe'] as ['ignore', 'pipe' | number, 'pipe'];
      return this.#add(spawn(command, args, { env: bareEnvironment(env), cwd, stdio }));
    } finally {
      if (sink !== undefined) closeSync(sink);
    }
  }

  /** @returns its exit code; null when a signal ended it */
  async stop(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    if (!this.#running.has(child)) return child.exitCode;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.kill(signal);
    await ended;
    clearTimeout(killer);
    return child.exitCode;
  }

  async stopAll(): Promise<void> {
    this.#closed = true;
    await Promise.all(Array.from(this.#running, (child) => this.stop(child)));
  }

  #requireOpen(): void {
    if (this.#closed) throw new Error('the script is ending');
  }

  #add(child: ChildProcess): ChildProcess {
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    child.once('error', () => this.#running.delete(child));
    return child;
  }
}

/** Children get none of the caller's settings: they run with their defaults. */
function bareEnvironment(more: Record<string, string>): Record<string, string> {
  const kept = ['PATH', 'HOME', 'SystemRoot', 'TEMP', 'TMPDIR'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), ...more };
}

/** Standard error, for the message when a process fails; only its end, for it may be long. */
export function collectErrors(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-2000);
  });
  return () => text.trim();
}

export function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the process did not start');
  return child.pid;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
