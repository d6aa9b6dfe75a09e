import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

import { sql } from 'kysely';
import { onTestFinished } from 'vitest';

import { createDatabase, type Database } from '../../src/db/database.ts';
import { executeLast } from '../../src/db/driver/pipeline.ts';
import { inTransaction } from '../../src/db/transaction.ts';
import type { Tx } from '../../src/db/types.ts';
import { type TestDatabase, useTestDatabase } from './database.ts';

export interface Lane {
  database: TestDatabase;
  own: Database;
  /** Runs a transaction on the lane that writes its name twice, by its first statement and by its last. */
  write(name: string, step?: (tx: Tx) => Promise<unknown>): Promise<void>;
  /** What has happened, in order: `a begins`, `a is answered`. */
  seen: string[];
  /** How often each name is stored; 2 is right. */
  stored(): Promise<Record<string, number>>;
}

/** The pipelined lane of a service, without the service; `through` is what lies between it and the database. */
export async function useLane(through?: (url: string) => Promise<string>): Promise<Lane> {
  const database = await useTestDatabase();
  await database.query(
    "create table log (name text constraint log_name_allowed check (name <> 'forbidden'))",
  );
  const url = through === undefined ? database.url : await through(database.url);
  const own = createDatabase({ url, poolSize: 1, pgbouncer: false, onIdleError: () => undefined });
  onTestFinished(() => own.close());
  const seen: string[] = [];
  return {
    database,
    own,
    seen,
    async write(name, step) {
      const work = async (tx: Tx) => {
        seen.push(`${name} begins`);
        await sql`insert into log values (${name})`.execute(tx);
        await step?.(tx);
        await executeLast(tx, insert(name).compile(tx));
      };
      await inTransaction(own.lane, work, own.reads).finally(() => seen.push(`${name} is answered`));
    },
    async stored() {
      const rows = await database.query<{ name: string; times: number }>(
        'select name, count(*)::int as times from log group by name',
      );
      return Object.fromEntries(rows.map(({ name, times }) => [name, times]));
    },
  };
}

export function insert(name: string) {
  return sql`insert into log values (${name})`;
}

/** The last thing that a server says while a connection opens: ReadyForQuery, idle. */
const READY = Buffer.from('Z\0\0\0\x05I', 'latin1');
const END_FIELDS = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0';

/** A proxy that does one wrong thing once it is told to, and only the first time. */
export class AlteringProxy {
  #alteration: [from: string, to: string] | undefined;
  #endsNext = false;

  /** The next connection is ended by the server in the same breath in which it opens. */
  endNextAsItOpens(): void {
    this.#endsNext = true;
  }

  /** On its way to the database, one text becomes another. */
  alterNext(from: string, to: string): void {
    this.#alteration = [from, to];
  }

  async listen(databaseUrl: string): Promise<string> {
    const url = new URL(databaseUrl);
    const target = { host: url.hostname, port: Number(url.port || 5432) };
    const server = createServer((client) => {
      const upstream = connect(target);
      for (const socket of [client, upstream]) socket.on('error', () => undefined);
      client.on('data', (chunk: Buffer) => upstream.write(this.#alter(chunk)));
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
      upstream.on('data', (chunk: Buffer) => {
        if (!this.#endsNext || !chunk.subarray(-READY.length).equals(READY)) return client.write(chunk);
        this.#endsNext = false;
        const head = Buffer.from('E\0\0\0\0', 'latin1');
        head.writeUInt32BE(4 + END_FIELDS.length, 1);
        return client.end(Buffer.concat([chunk, head, Buffer.from(END_FIELDS, 'latin1')]));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.close();
    });
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    return url.href;
  }

  #alter(chunk: Buffer): Buffer {
    const text = chunk.toString('latin1');
    if (this.#alteration === undefined || !text.includes(this.#alteration[0])) return chunk;
    const [from, to] = this.#alteration;
    this.#alteration = undefined;
    return Buffer.from(text.replace(from, to), 'latin1');
  }
}
