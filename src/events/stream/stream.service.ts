import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import type { CommitSignal } from '../../db/commit-signal.ts';
import type { Db } from '../../db/types.ts';
import { unavailable } from '../../lib/errors.ts';
import { resolveCursor } from '../cursor.ts';
import type { EventMetrics } from '../event.metrics.ts';
import { findHorizon } from '../feed.repository.ts';
import type { EventReader } from '../feed.service.ts';
import { comparePositions, type Position } from '../position.ts';
import { STREAM_MAX_AGE_MS } from './stream-age.ts';
import { Subscriber, toFrame } from './subscriber.ts';

/*
 * Live streams of the event log.
 *
 * - One reader serves all streams of the process: each event is read and written down once, however many streams get it.
 *   With no stream open, nothing is read.
 * - A stream that begins in the past is replayed apart, page by page as its client takes them, until it stands where the
 *   reader stands; in that moment it joins. So it gets each event once, in the order of the feed.
 * - The signal of a commit is a hint only. The reader also looks by itself, because a hint can be lost, and because an
 *   event becomes visible when the last older transaction ends, which may be one of another program.
 * - Memory is bounded by the number of streams and by what each may be behind. A client that is behind by more is read for
 *   at its own pace, and one that takes nothing in is cut off.
 * - It is not built on a library for server-sent events: those take the response out of Fastify's hands (deadlines, the
 *   log, draining), and the three lines of the format are the least of this.
 */

/** All streams of the process (SECURITY.md); each is a connection, of which there are 2,000. */
const STREAMS_MAX = 1000;
/** Below the 15 s after which a connection on which nothing moves is closed. */
const HEARTBEAT_MS = 10_000;
/** How often the reader looks by itself, with and without hints from other instances. */
const LOOK_MS = { hinted: 1000, alone: 250 };
const PAGE = 200;
/** Each stream that is replayed has a page of its own in memory. */
const REPLAY_PAGE = 50;
/** Under load, one page serves the commits of this time. */
const BETWEEN_PAGES_MS = 20;
/** What one connection is replayed. Then it ends, and its client comes back for the rest. */
const REPLAY_MAX_EVENTS = 10_000;
const REPLAY_MAX_READS = 200;
/** On a stop, for the last bytes to go out to clients that read. */
const LAST_BYTES_MS = 250;

export interface StreamQuery {
  /** The cursor behind which to begin, as the caller sent it; undefined for now. */
  after?: string | undefined;
  /** Where the caller wrote the cursor. */
  afterPath: string;
  types?: readonly string[] | undefined;
}

export interface StreamService {
  /** @throws AppError validation_failed, events_expired, service_unavailable when too many streams are open */
  open(query: StreamQuery): Promise<Readable>;
  /** Ends all streams; none is opened after it. */
  stop(): Promise<void>;
}

export interface StreamDependencies {
  lists: Db;
  read: EventReader;
  commits: CommitSignal;
  metrics: EventMetrics;
  /** What a test cannot wait for. */
  limits?: { streamsMax?: number; heartbeatMs?: number };
}

export function createStreamService(dependencies: StreamDependencies): StreamService {
  return new Streams(dependencies);
}

class Streams implements StreamService {
  readonly #given: StreamDependencies;
  readonly #streamsMax: number;
  readonly #heartbeatMs: number;
  readonly #open = new Set<Subscriber>();
  /** Those of the open ones that stand where the reader stands. */
  readonly #live = new Set<Subscriber>();
  #opening = 0;
  /** Up to where the reader has read; of no meaning while no stream is live. */
  #position: Position | undefined;
  #running: Promise<void> | undefined;
  #isWoken = false;
  #isStopping = false;
  #stopHints: (() => void) | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #heart: NodeJS.Timeout | undefined;

  constructor(given: StreamDependencies) {
    this.#given = given;
    this.#streamsMax = given.limits?.streamsMax ?? STREAMS_MAX;
    this.#heartbeatMs = given.limits?.heartbeatMs ?? HEARTBEAT_MS;
  }

  async open({ after, afterPath, types }: StreamQuery): Promise<Readable> {
    const { lists } = this.#given;
    if (this.#isStopping) throw unavailable('The service is stopping, try again');
    if (this.#open.size + this.#opening >= this.#streamsMax) {
      throw unavailable('Too many streams are open, try again', undefined, 10);
    }
    this.#opening += 1;
    let position: Position;
    try {
      position =
        after === undefined ? await findHorizon(lists) : await resolveCursor(lists, after, afterPath);
    } finally {
      this.#opening -= 1;
    }
    if (this.#isStopping) throw unavailable('The service is stopping, try again');
    const subscriber = new Subscriber(position, types);
    this.#add(subscriber);
    this.#startReplay(subscriber);
    return subscriber.output;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#stopLooking();
    const open = [...this.#open];
    for (const subscriber of open) subscriber.end();
    await this.#running;
    if (this.#open.size > 0) await sleep(LAST_BYTES_MS);
    for (const { output } of this.#open) output.destroy();
  }

  #add(subscriber: Subscriber): void {
    this.#open.add(subscriber);
    this.#given.metrics.eventStreamsOpen.set(this.#open.size);
    this.#heart ??= setInterval(() => this.#beat(), this.#heartbeatMs).unref();
    this.#stopHints ??= this.#given.commits.listen(() => this.#wake());
    subscriber.output.once('close', () => {
      this.#open.delete(subscriber);
      this.#live.delete(subscriber);
      this.#given.metrics.eventStreamsOpen.set(this.#open.size);
      if (this.#open.size === 0) this.#stopLooking();
    });
  }

  #stopLooking(): void {
    this.#stopHints?.();
    this.#stopHints = undefined;
    clearInterval(this.#heart);
    this.#heart = undefined;
    clearTimeout(this.#lookTimer);
  }

  #startReplay(subscriber: Subscriber): void {
    this.#replay(subscriber).catch(() => {
      this.#given.metrics.eventStreamFailures.inc();
      subscriber.end();
    });
  }

  /** A client that cannot keep up is read for apart, as fast as it takes events in, until it has caught up. */
  #leave(subscriber: Subscriber): void {
    this.#live.delete(subscriber);
    this.#startReplay(subscriber);
  }

  /** Reads a stream up to where the reader stands, and lets it join. */
  async #replay(subscriber: Subscriber): Promise<void> {
    const { lists, read } = this.#given;
    let events = 0;
    for (let reads = 0; subscriber.isOpen; reads++) {
      await subscriber.drained();
      if (events >= REPLAY_MAX_EVENTS || reads >= REPLAY_MAX_READS) {
        subscriber.end();
        return;
      }
      const { types } = subscriber;
      const page = await read(lists, subscriber.position, { types, limit: REPLAY_PAGE });
      events += page.events.length;
      subscriber.send(page.events.map(toFrame), page.next);
      if (page.isEnd && this.#join(subscriber)) return;
    }
  }

  /** @returns false when the reader is ahead */
  #join(subscriber: Subscriber): boolean {
    if (!subscriber.isOpen) return true;
    if (this.#live.size === 0) this.#position = subscriber.position;
    if (this.#position !== undefined && comparePositions(this.#position, subscriber.position) > 0)
      return false;
    this.#live.add(subscriber);
    this.#wake();
    return true;
  }

  #wake(): void {
    if (this.#isStopping || this.#live.size === 0) return;
    this.#isWoken = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    clearTimeout(this.#lookTimer);
    try {
      while (this.#isWoken && !this.#isStopping) {
        this.#isWoken = false;
        await this.#readOn();
        await sleep(BETWEEN_PAGES_MS);
      }
    } catch {
      this.#given.metrics.eventStreamFailures.inc();
    }
    if (this.#isStopping || this.#live.size === 0) return;
    const lookMs = this.#given.commits.isListening() ? LOOK_MS.hinted : LOOK_MS.alone;
    this.#lookTimer = setTimeout(() => this.#wake(), lookMs).unref();
  }

  /** Sends what has become visible to all live streams. */
  async #readOn(): Promise<void> {
    const { lists, read } = this.#given;
    let isEnd = false;
    while (!isEnd && this.#live.size > 0 && this.#position !== undefined) {
      const from = this.#position;
      const page = await read(lists, from, { limit: PAGE });
      // Meanwhile the last stream left and another one joined, at a place of its own.
      if (this.#position !== from) continue;
      this.#position = page.next;
      const frames = page.events.map(toFrame);
      for (const subscriber of this.#live) {
        subscriber.send(frames, page.next);
        if (subscriber.isTooFarBehind()) this.#leave(subscriber);
      }
      ({ isEnd } = page);
    }
  }

  #beat(): void {
    const oldest = performance.now() - STREAM_MAX_AGE_MS + 2 * this.#heartbeatMs;
    for (const subscriber of this.#open) {
      if (!subscriber.beat()) this.#drop(subscriber);
      else if (subscriber.openedAt < oldest) subscriber.end();
    }
  }

  /** A client that takes nothing in holds its place for no longer than two heartbeats. */
  #drop(subscriber: Subscriber): void {
    this.#given.metrics.eventStreamsDropped.inc();
    subscriber.output.destroy();
  }
}
