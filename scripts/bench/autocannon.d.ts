/** What the scripts use of autocannon 9, which brings no types of its own. */
declare module 'autocannon' {
  import type { EventEmitter } from 'node:events';

  export interface Request {
    method: 'GET' | 'POST';
    path: string;
    headers?: Record<string, string>;
    body?: string;
    onResponse?: (status: number, body: string) => void;
  }

  /** One connection. */
  export interface Client {
    setRequests(requests: Request[]): void;
    /** The connection is closed, after its answer, once it has made this many requests; 0: never. */
    responseMax: number;
  }

  export interface Options {
    url: string;
    connections: number;
    /** Seconds. */
    duration: number;
    /** Milliseconds; also how long it takes at most to see that all connections are closed. */
    sampleInt: number;
    /** Seconds. */
    timeout: number;
    setupClient: (client: Client) => void;
  }

  export default function autocannon(options: Options, done: (error: Error | null) => void): EventEmitter;
}
