import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

import { type TestDatabase, useTestDatabase } from './database.ts';
import { type TestService, type TestServiceOptions, useTestService } from './service.ts';

/**
 * What becomes of a connection at a statement: cut when PostgreSQL has been sent it but nothing has come back; cut
 * before PostgreSQL sees it; silent, with the statement sent and no answer ever; or silent, with the statement held back.
 */
type Fault = 'cut-after' | 'cut-before' | 'silence' | 'hold';

/** Or the same at two statements: the first one waits for the one behind it. */
export type StatementFault = Fault | `${Fault}-with-next`;

/** A TCP proxy between the service and PostgreSQL that reads the protocol just enough to fail at a chosen moment. */
export class FaultProxy {
  readonly #target: { host: string; port: number };
  readonly #connections = new Set<Connection>();
  #server: Server;
  #port = 0;
  #silent = false;
  #faults: { at: RegExp; fault: StatementFault }[] = [];

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
  failCommits(...faults: StatementFault[]): void {
    this.failNext(/^\s*commit\b/i, ...faults);
  }

  /** The next statements of this text meet these faults, one each; those after them pass. */
  failNext(at: RegExp, ...faults: StatementFault[]): void {
    this.#faults.push(...faults.map((fault) => ({ at, fault })));
  }

  /** Faults that no statement has met yet. */
  get faultsLeft(): number {
    return this.#faults.length;
  }

  /**
   * Connections stay open, new ones are accepted, and no byte gets through in either direction; nor does the end of a
   * connection, so what PostgreSQL has begun there stays as it is.
   */
  fallSilent(): void {
    this.#silent = true;
  }

  /** New connections are well. Those that are silent stay so for good, as when a router has forgotten them. */
  healNewConnections(): void {
    for (const connection of this.#connections) connection.fallSilent();
    this.#silent = false;
  }

  /** Every connection is cut, and new ones are refused. */
  async refuse(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#cutAll();
    await closed;
  }

  /** Connections that are silent and that the service has not given up. */
  get silentLeft(): number {
    return [...this.#connections].filter((connection) => connection.isWaitedFor()).length;
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
    this.#cutAll();
  }

  #createServer(): Server {
    return createServer((client) => {
      const connection = new Connection(client, connect(this.#target), {
        isSilent: () => this.#silent,
        nextFaultOf: (text) => this.#takeFault(text),
        onClose: () => this.#connections.delete(connection),
      });
      this.#connections.add(connection);
    });
  }

  #takeFault(text: string): StatementFault | undefined {
    const met = this.#faults.find(({ at }) => at.test(text));
    if (met !== undefined) this.#faults = this.#faults.filter((fault) => fault !== met);
    return met?.fault;
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

const WITH_NEXT = '-with-next';

interface Faults {
  isSilent(): boolean;
  nextFaultOf(text: string): StatementFault | undefined;
  onClose(): void;
}

class Connection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #faults: Faults;
  #pending = Buffer.alloc(0);
  #started = false;
  #silent = false;
  /** The messages of a statement that is not complete yet, and its text. */
  #parts: Buffer[] = [];
  #text: string | undefined;
  /** A statement that waits for the next one, and what will become of the connection then. */
  #held: { statement: Buffer; fault: Fault } | undefined;
  /** Name → text of the statements that were prepared. */
  readonly #prepared = new Map<string, string>();

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
    client.on('close', () => {
      if (!this.#isSilent()) server.end();
      if (server.destroyed) faults.onClose();
    });
    server.on('close', () => {
      if (!this.#isSilent()) client.destroy();
      if (client.destroyed) faults.onClose();
    });
  }

  fallSilent(): void {
    this.#silent = true;
  }

  isWaitedFor(): boolean {
    return this.#isSilent() && !this.#client.destroyed;
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
      this.#parts.push(message);
      const type = this.#readType(message);
      // Parse, Bind, Describe and Execute belong to the statement that ends with its Sync.
      if ('PBDE'.includes(type)) continue;
      const statement = Buffer.concat(this.#parts.splice(0));
      const text = this.#text;
      this.#text = undefined;
      if (this.#held !== undefined) {
        return this.#fail(Buffer.concat([this.#held.statement, statement]), this.#held.fault);
      }
      const met = text === undefined ? undefined : this.#faults.nextFaultOf(text);
      const fault = met?.replace(WITH_NEXT, '') as Fault | undefined;
      if (fault === undefined) this.#server.write(statement);
      else if (fault === met) return this.#fail(statement, fault);
      else this.#held = { statement, fault };
    }
  }

  #fail(statements: Buffer, fault: Fault): void {
    switch (fault) {
      case 'cut-before':
        return this.cut();
      case 'cut-after':
        // The bytes still go out, and the end of the stream behind them.
        this.#server.end(statements);
        this.#client.destroy();
        return;
      case 'silence':
        this.#server.write(statements);
        this.#silent = true;
        return;
      case 'hold':
      default:
        this.#silent = true;
    }
  }

  /** Notes the text of the statement that a message belongs to. @returns the message's type; none for the startup's */
  #readType(message: Buffer): string {
    const type = message[0] === 0 ? ' ' : String.fromCharCode(message[0] ?? 0);
    const [first = '', second = ''] = message.toString('latin1', 5).split('\0', 2);
    if (type === 'Q') this.#text = first;
    if (type === 'P') this.#prepared.set(first, second);
    if (type === 'B') this.#text = this.#prepared.get(second);
    return type;
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
