import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

import { type TestDatabase, useTestDatabase } from './database.ts';
import { useTestService } from './race.ts';
import type { TestService, TestServiceOptions } from './service.ts';

/**
 * What becomes of a connection at its COMMIT: cut when PostgreSQL has been sent it but nothing has come back; cut
 * before PostgreSQL sees it; or silent, with the COMMIT sent and no answer ever.
 */
export type CommitFault = 'cut-after' | 'cut-before' | 'silence';

/** A TCP proxy between the service and PostgreSQL that reads the protocol just enough to fail at a chosen moment. */
export class FaultProxy {
  readonly #target: { host: string; port: number };
  readonly #connections = new Set<Connection>();
  #server: Server;
  #port = 0;
  #silent = false;
  readonly #commitFaults: CommitFault[] = [];

  private constructor(target: URL) {
    this.#target = { host: target.hostname, port: Number(target.port || 5432) };
    this.#server = this.#createServer();
  }

  static async start(databaseUrl: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(databaseUrl));
    await proxy.#listen();
    return proxy;
  }

  /** The database as seen through the proxy. */
  urlOf(databaseUrl: string): string {
    const url = new URL(databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.#port);
    return url.href;
  }

  /** The next COMMITs meet these faults, one each; those after them pass. */
  failCommits(...faults: CommitFault[]): void {
    this.#commitFaults.push(...faults);
  }

  /** Faults that no COMMIT has met yet. */
  get faultsLeft(): number {
    return this.#commitFaults.length;
  }

  /** Connections stay open, new ones are accepted, and no byte gets through in either direction. */
  fallSilent(): void {
    this.#silent = true;
  }

  /** Every connection is cut, and new ones are refused. */
  async refuse(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#cutAll();
    await closed;
  }

  /** All is well again. Connections that had fallen silent have lost bytes, so they are cut. */
  async restore(): Promise<void> {
    if (this.#silent) this.#cutAll();
    this.#silent = false;
    if (!this.#server.listening) {
      this.#server = this.#createServer();
      await this.#listen();
    }
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.refuse();
  }

  #createServer(): Server {
    return createServer((client) => {
      const connection = new Connection(client, connect(this.#target), {
        isSilent: () => this.#silent,
        nextCommitFault: () => this.#commitFaults.shift(),
      });
      this.#connections.add(connection);
      client.on('close', () => this.#connections.delete(connection));
    });
  }

  async #listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #cutAll(): void {
    for (const connection of this.#connections) connection.cut();
  }
}

interface Faults {
  isSilent(): boolean;
  nextCommitFault(): CommitFault | undefined;
}

class Connection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #faults: Faults;
  #pending = Buffer.alloc(0);
  #started = false;
  #silent = false;

  constructor(client: Socket, server: Socket, faults: Faults) {
    this.#client = client;
    this.#server = server;
    this.#faults = faults;
    for (const socket of [client, server]) {
      socket.setNoDelay();
      // Cutting is the business of this proxy; what the ends say about it is theirs.
      socket.on('error', () => undefined);
    }
    client.on('data', (chunk: Buffer) => this.#fromClient(chunk));
    server.on('data', (chunk: Buffer) => {
      if (!this.#isSilent() && !client.destroyed) client.write(chunk);
    });
    client.on('close', () => server.end());
    server.on('close', () => {
      if (!this.#isSilent()) client.destroy();
    });
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #isSilent(): boolean {
    return this.#silent || this.#faults.isSilent();
  }

  #fromClient(chunk: Buffer): void {
    if (this.#isSilent()) return;
    this.#pending = Buffer.concat([this.#pending, chunk]);
    for (let message = this.#takeMessage(); message !== undefined; message = this.#takeMessage()) {
      const fault = isCommit(message) ? this.#faults.nextCommitFault() : undefined;
      if (fault === 'cut-before') return this.cut();
      this.#server.write(message);
      if (fault === 'cut-after') {
        // The bytes of the COMMIT still go out, and the end of the stream behind them.
        this.#server.end();
        this.#client.destroy();
        return;
      }
      if (fault === 'silence') {
        this.#silent = true;
        return;
      }
    }
  }

  /** Each message has its type in one byte and its length in four; only the first, the startup, has no type. */
  #takeMessage(): Buffer | undefined {
    const header = this.#started ? 1 : 0;
    if (this.#pending.length < header + 4) return undefined;
    const length = header + this.#pending.readUInt32BE(header);
    if (this.#pending.length < length) return undefined;
    const message = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    this.#started = true;
    return message;
  }
}

/** A simple query, or a statement being parsed, whose text is COMMIT. */
function isCommit(message: Buffer): boolean {
  return /^[QP][^]{4}(?:[^\0]*\0)??\s*commit\b/i.test(message.toString('latin1'));
}

export interface ProxiedService {
  service: TestService;
  proxy: FaultProxy;
  /** The same database, past the proxy. */
  database: TestDatabase;
}

/** A service that reaches its database through a proxy, for one test. */
export async function useProxiedService(options: TestServiceOptions = {}): Promise<ProxiedService> {
  const database = await useTestDatabase();
  const proxy = await FaultProxy.start(database.url);
  onTestFinished(() => proxy.close());
  const service = await useTestService({
    ...options,
    database: { ...database, url: proxy.urlOf(database.url) },
  });
  return { service, proxy, database };
}
