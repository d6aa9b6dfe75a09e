import type { ChildProcess } from 'node:child_process';

import { type Children, collectErrors } from '../support/children.ts';
import type { LoadResult, LoadSpec } from './http-load.ts';
import type { WorkerAnswer } from './load-worker.ts';

/** What a run of load may take on top of its own time. */
const RUN_SLACK_MS = 60_000;

export class LoadGenerator {
  readonly #child: ChildProcess;
  readonly #errors: () => string;

  constructor(children: Children) {
    this.#child = children.fork(new URL('load-worker.ts', import.meta.url));
    this.#errors = collectErrors(this.#child);
  }

  run(spec: LoadSpec): Promise<LoadResult> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        clearTimeout(guard);
        child.removeListener('message', onMessage);
        child.removeListener('exit', onExit);
        act();
      };
      const onMessage = (answer: WorkerAnswer) =>
        end(() => ('result' in answer ? resolve(answer.result) : reject(new Error(answer.error))));
      const onExit = () => end(() => reject(new Error(`the load generator ended: ${this.#errors()}`)));
      const guard = setTimeout(() => child.kill('SIGKILL'), spec.warmupMs + spec.measureMs + RUN_SLACK_MS);
      child.on('message', onMessage);
      child.once('exit', onExit);
      child.send(spec, (error) => {
        if (error !== null) end(() => reject(error));
      });
    });
  }
}
