import { type LoadResult, type LoadSpec, runLoad } from './http-load.ts';

/** The load generator as a process of its own, so that nothing else that the bench does takes its time. */
export type WorkerAnswer = { result: LoadResult; error?: never } | { error: string; result?: never };

process.on('disconnect', () => process.exit());
process.on('message', (spec: LoadSpec) => {
  runLoad(spec).then(
    (result) => process.send?.({ result } satisfies WorkerAnswer),
    (error: unknown) => process.send?.({ error: String(error) } satisfies WorkerAnswer),
  );
});
