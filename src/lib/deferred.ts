/** A promise that is resolved from outside (Promise.withResolvers comes with Node 22). */
export interface Deferred {
  promise: Promise<void>;
  resolve: () => void;
}

export function createDeferred(): Deferred {
  const deferred: Partial<Deferred> = {};
  const promise = new Promise<void>((resolve) => {
    deferred.resolve = resolve;
  });
  // The function above has run by now.
  return { promise, resolve: deferred.resolve as () => void };
}
