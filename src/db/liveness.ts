import type pg from 'pg';

/*
 * Which connections may be dead though neither side has closed them.
 *
 * A router that forgets its connections, or a host that vanishes, ends none of them: each looks well until a statement on
 * it has waited for its whole timeout. So when one has, every connection that has not answered since then is doubtful,
 * and is replaced before it is used again: of all that died together, only those in use cost a caller a timeout.
 */
export class Liveness {
  readonly #heardAt = new WeakMap<pg.ClientBase, number>();
  #silentSince = Number.NEGATIVE_INFINITY;

  /** A connection has just opened or answered. */
  heard(client: pg.ClientBase): void {
    this.#heardAt.set(client, performance.now());
  }

  /** A statement on some connection has not been answered for this long. */
  silentFor(ms: number): void {
    this.#silentSince = performance.now() - ms;
  }

  isDoubtful(client: pg.ClientBase): boolean {
    return (this.#heardAt.get(client) ?? this.#silentSince) < this.#silentSince;
  }
}

/** Ends a connection whose other end may be gone: a polite end would wait for its answer for a quarter of an hour. */
export function destroySocket(client: pg.Client): void {
  client.connection.stream.destroy();
}
