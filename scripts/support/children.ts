import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { execa, type Options, type Result, type ResultPromise } from 'execa';

/** The service promises to close within 10 s; a child that takes longer is killed. */
const STOP_TIMEOUT_MS = 11_000;

/** Children get none of the caller's settings: they run with their defaults. */
const KEPT = ['PATH', 'HOME', 'SystemRoot', 'TEMP', 'TMPDIR'];

/** What children have in common, whatever their options. */
export type Child = Pick<ResultPromise, 'pid' | 'kill'> & PromiseLike<Pick<Result, 'exitCode'>>;

/**
 * Starts a program with a bare environment. The promise never rejects: its outcome has the exit code
 * or the signal, and the whole output. The child ends with this process at the latest.
 */
export function startChild<const O extends Options>(command: string, args: readonly string[], options: O) {
  const kept = KEPT.flatMap((name) => (name in process.env ? [[name, process.env[name]] as const] : []));
  return execa(command, args, {
    stripFinalNewline: false,
    forceKillAfterDelay: STOP_TIMEOUT_MS as number | false,
    ...options,
    env: { ...Object.fromEntries(kept), ...options.env },
    extendEnv: false,
    reject: false,
  });
}

/** Every process that a script starts; `stopAll` ends them, and then none can be started any more. */
export class Children {
  readonly #running = new Set<Child>();
  #closed = false;

  start<const O extends Options>(command: string, args: readonly string[], options: O) {
    if (this.#closed) throw new Error('the script is ending');
    const child = startChild(command, args, options);
    this.#running.add(child);
    void child.then(() => this.#running.delete(child));
    return child;
  }

  /** Runs a module of this project in the way that the script itself runs. */
  fork(module: URL, args: readonly string[] = [], env: Record<string, string> = {}) {
    const command = [...process.execArgv, fileURLToPath(module), ...args];
    return this.start(process.execPath, command, { env, ipc: true, stdout: 'ignore' });
  }

  /** A module that calls `serveParent`. @returns once it listens */
  async serve(
    module: URL,
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ url: string; pid: number }> {
    const child = this.fork(module, args, env);
    const url = await child.getOneMessage().catch(async () => {
      throw new Error(`${path.basename(module.pathname)} ended: ${(await child).stderr}`);
    });
    return { url: url as string, pid: pidOf(child) };
  }

  /** @returns its exit code; undefined when a signal ended it */
  async stop(child: Child, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | undefined> {
    child.kill(signal);
    return (await child).exitCode;
  }

  async stopAll(): Promise<void> {
    this.#closed = true;
    await Promise.all(Array.from(this.#running, (child) => this.stop(child)));
  }
}

export function pidOf({ pid }: Pick<Child, 'pid'>): number {
  if (pid === undefined) throw new Error('the process did not start');
  return pid;
}
