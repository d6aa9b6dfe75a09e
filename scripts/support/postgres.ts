import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import pg from 'pg';

import { startEmbeddedPostgres } from '../../src/embedded/embedded.ts';
import type { ClosingStack } from '../../src/lib/shutdown.ts';
import { ScriptFailure } from './arguments.ts';

export interface Postgres {
  /** An administrator's. */
  url: string;
  /** Undefined when it is not one of our own. */
  dataDir: string | undefined;
  /** Makes an empty database, and drops it when the script ends. @returns its URL */
  createDatabase(purpose: string): Promise<string>;
}

/**
 * A PostgreSQL to make databases of one's own on.
 * @param given an administrator's URL; without it, an embedded one is started, and is gone when the script ends
 * @param script names the database and its files
 */
export async function openPostgres(
  opened: ClosingStack,
  given: string | undefined,
  script: string,
): Promise<Postgres> {
  const { url, dataDir } = given ? { url: given, dataDir: undefined } : await startOwn(opened, script);
  const admin = await connect(url, opened, script);
  return {
    url,
    dataDir,
    async createDatabase(purpose) {
      const name = `${script}_${process.pid}_${purpose}`;
      await admin.query(`create database ${name}`);
      opened.add(() => admin.query(`drop database if exists ${name} with (force)`));
      const created = new URL(url);
      created.pathname = `/${name}`;
      return created.href;
    },
  };
}

async function startOwn(opened: ClosingStack, script: string): Promise<{ url: string; dataDir: string }> {
  const folder = await makeDataFolder(opened, script);
  const starting = startEmbeddedPostgres({ dataDir: folder });
  // Registered before it is there, so that a Ctrl-C while it starts stops it too.
  opened.add(async () => {
    const server = await starting.catch(() => undefined);
    await server?.stop();
  });
  const server = await starting;
  return { url: server.adminUrl, dataDir: server.dataDir };
}

/** A DATA_DIR for an embedded PostgreSQL, deleted when the script ends; stop its users before. */
export async function makeDataFolder(opened: ClosingStack, script: string): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), `orders-inventory-${script}-`));
  opened.add(async () => {
    // Where the user of PostgreSQL cannot reach the temporary folder, the cluster lives elsewhere, and this is the link.
    const home = await realpath(path.join(folder, 'postgres')).catch(() => undefined);
    if (home !== undefined) await rm(home, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

export async function connect(url: string, opened: ClosingStack, script: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: script });
  // A query under way rejects by itself; an idle connection that ends while everything is closing is no news.
  client.on('error', () => undefined);
  await client.connect().catch((error: NodeJS.ErrnoException) => {
    // Of a name with several addresses, Node gives only the code.
    const { host, port } = client;
    throw new ScriptFailure(`PostgreSQL at ${host}:${port} cannot be used: ${error.message || error.code}.`);
  });
  opened.add(() => client.end());
  return client;
}
