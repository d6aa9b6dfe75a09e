import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import pg from 'pg';
import type { TestProject } from 'vitest/node';

import { migrateDatabase } from '../../src/db/connect.ts';
import { startEmbeddedPostgres } from '../../src/embedded/embedded.ts';
import { findPgbouncer, PgBouncer } from './pgbouncer.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A database of the test server that is allowed to create others. */
    adminUrl: string;
    /** The migrated database that every test file clones. */
    templateName: string;
    /** The same server through PgBouncer; empty where that is not installed. */
    pgbouncerUrl: string;
    /** Whether services reach their database that way; set for a whole project, in vitest.config.ts. */
    throughPgbouncer: boolean | undefined;
    /** Whether a service is two processes of the built one instead; set likewise. */
    inProcesses: boolean | undefined;
  }
}

/**
 * One PostgreSQL for the whole run: TEST_DATABASE_URL, or an embedded one in a temporary folder. The schema is migrated
 * once, into a template; a clone of it takes a tenth of a second.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  const templateName = `oi_template_${process.pid}`;
  const template = new URL(server.url);
  template.pathname = `/${templateName}`;
  await query(server.url, `create database ${templateName}`);
  await migrateDatabase({ url: template.href, pgbouncer: false, onIdleError: () => undefined });
  project.provide('adminUrl', server.url);
  project.provide('templateName', templateName);
  const program = findPgbouncer();
  const pgbouncer = program === undefined ? undefined : await PgBouncer.start(program, server.url);
  project.provide('pgbouncerUrl', pgbouncer?.urlOf(server.url) ?? '');
  return async () => {
    await pgbouncer?.stop();
    await query(server.url, `drop database if exists ${templateName} with (force)`);
    await server.stop();
  };
}

async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) return { url: given, stop: async () => undefined };
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'orders-inventory-test-'));
  const server = await startEmbeddedPostgres({ dataDir, serverSettings: serverSettings() });
  return {
    url: server.adminUrl,
    stop: async () => {
      await server.stop();
      // Where user postgres cannot reach the temporary folder, the cluster lives elsewhere and this is the link to it.
      await rm(path.dirname(server.dataDir), { recursive: true, force: true });
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Races are as real as their commits, so only the quick run, which has few of them, does without the flush to disk. */
function serverSettings(): Record<string, string> {
  const settings = { max_connections: '300' };
  return process.env['TEST_FSYNC'] === 'off' ? { ...settings, fsync: 'off' } : settings;
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
