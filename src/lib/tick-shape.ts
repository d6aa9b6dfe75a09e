import { executionAsyncResource } from 'node:async_hooks';

/**
 * An object of those that Node makes for each process.nextTick; a request takes some six of them. V8 forgets their shape
 * when it collects garbage at a moment when none is alive, and the code that makes them then looks each property up
 * anew, for as long as the process runs: a fifteenth of what a read costs. While this one is alive, so is the shape.
 *
 * What has been forgotten once does not come back: import it before anything else.
 */
export const tick: unknown = await new Promise((resolve) => {
  process.nextTick(() => resolve(executionAsyncResource()));
});
