import type { Children } from '../support/children.ts';
import type { LoadResult, LoadSpec } from './http-load.ts';
import type { WorkerAnswer } from './load-worker.ts';

/** What a run of load may take on top of its own time. */
const RUN_SLACK_MS = 60_000;

export class LoadGenerator {
  readonly #child: ReturnType<Children['fork']>;

  constructor(children: Children) {
    this.#child = children.fork(new URL('load-worker.ts', import.meta.url));
  }

  async run(spec: LoadSpec): Promise<LoadResult> {
    const child = this.#child;
    const guard = setTimeout(() => child.kill('SIGKILL'), spec.warmupMs + spec.measureMs + RUN_SLACK_MS);
    try {
      const [answer] = await Promise.all([child.getOneMessage(), child.sendMessage({ ...spec })]);
      const { result, error } = answer as unknown as WorkerAnswer;
      if (result === undefined) throw new Error(error);
      return result;
    } catch (error) {
      throw child.exitCode === null ? error : new Error(`the load generator ended: ${(await child).stderr}`);
    } finally {
      clearTimeout(guard);
    }
  }
}
