import pg from 'pg';

/*
 * Says that something was committed, here or in another instance, so that readers of the event log look at once.
 *
 * It is a hint of latency and nothing else: it may come late, twice or never, and its users also look from time to time.
 * A NOTIFY takes a lock of the whole cluster when it commits, so it never is part of the transaction that it is about: it
 * goes out after the COMMIT, on a connection of its own, once for all commits of a tenth of a second.
 */
export interface CommitSignal {
  /** After a COMMIT of this instance. Called for each, so it must cost nothing. */
  touch(): void;
  /** Calls a listener soon after commits, until the returned function is called. */
  listen(listener: () => void): () => void;
  /** Whether commits of other instances are heard now. */
  isListening(): boolean;
  close(): Promise<void>;
}

const CHANNEL = 'orders_inventory_commits';
/** Ten a second do not show in the time of an order. A single commit is signalled at once. */
const NOTIFY_EVERY_MS = 100;
const RECONNECT_MS = 1000;

/** @param config undefined behind PgBouncer, which has no LISTEN: then only commits of this instance are heard */
export function createCommitSignal(config: pg.ClientConfig | undefined): CommitSignal {
  return new Signal(config);
}

class Signal implements CommitSignal {
  readonly #config: pg.ClientConfig | undefined;
  readonly #listeners = new Set<() => void>();
  #client: pg.Client | undefined;
  #opening: Promise<pg.Client> | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #isWaking = false;
  /** Set while a NOTIFY is due or under way. */
  #isNotifying = false;
  #isTouched = false;
  #notifiedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(config: pg.ClientConfig | undefined) {
    this.#config = config;
  }

  touch(): void {
    this.#wake();
    this.#isTouched = true;
    if (!this.#isNotifying) this.#notifySoon();
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#connectSoon(0);
    return () => this.#listeners.delete(listener);
  }

  isListening(): boolean {
    return this.#client !== undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#opening?.catch(() => undefined);
    await this.#client?.end().catch(() => undefined);
  }

  #wake(): void {
    if (this.#isWaking || this.#listeners.size === 0) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      for (const listener of this.#listeners) listener();
    });
  }

  #notifySoon(): void {
    if (this.#config === undefined || this.#isClosed) return;
    this.#isNotifying = true;
    const dueMs = this.#notifiedAt + NOTIFY_EVERY_MS - performance.now();
    this.#after(Math.max(0, dueMs), () => void this.#notify());
  }

  async #notify(): Promise<void> {
    this.#notifiedAt = performance.now();
    // What is committed from here on needs a NOTIFY of its own.
    this.#isTouched = false;
    try {
      const client = await this.#open();
      await client.query(`notify ${CHANNEL}`);
    } catch {
      // The other instances look by themselves.
      this.#drop(this.#client);
    }
    this.#isNotifying = false;
    if (this.#isTouched) this.#notifySoon();
  }

  #connectSoon(ms: number): void {
    if (this.#config === undefined || this.#listeners.size === 0) return;
    this.#after(ms, () => {
      this.#open().catch(() => this.#connectSoon(RECONNECT_MS));
    });
  }

  async #open(): Promise<pg.Client> {
    if (this.#client !== undefined) return this.#client;
    if (performance.now() - this.#failedAt < RECONNECT_MS)
      throw new Error('the connection failed a moment ago');
    this.#opening ??= this.#connect();
    try {
      return await this.#opening;
    } catch (error) {
      this.#failedAt = performance.now();
      throw error;
    } finally {
      this.#opening = undefined;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(this.#config);
    client.on('error', () => this.#drop(client));
    client.on('end', () => this.#drop(client));
    client.on('notification', () => this.#wake());
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
    } catch (error) {
      client.end().catch(() => undefined);
      throw error;
    }
    this.#client = client;
    // Nothing was heard until now.
    this.#wake();
    return client;
  }

  #drop(client: pg.Client | undefined): void {
    if (client === undefined || this.#client !== client) return;
    this.#client = undefined;
    client.end().catch(() => undefined);
    if (!this.#isClosed) this.#connectSoon(RECONNECT_MS);
  }

  #after(ms: number, run: () => void): void {
    if (this.#isClosed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}
