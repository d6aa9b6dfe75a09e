import { executionAsyncResource } from 'node:async_hooks';

/*
 * Node makes an object for each process.nextTick, and a request takes some six of them. V8 forgets the shape of these
 * objects when it collects garbage at a moment when none of them is alive, and the code that makes them then looks each
 * property up anew, for as long as the process runs: a fifteenth of what a read costs. While one is alive, so is the
 * shape.
 */
const alive: unknown[] = [];

/** Keeps one tick alive. What has been forgotten once does not come back, so call it before anything else is done. */
export async function keepTickShape(): Promise<void> {
  const tick = await new Promise((resolve) => {
    process.nextTick(() => resolve(executionAsyncResource()));
  });
  alive.push(tick);
}
