import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import path from 'node:path';

import pg from 'pg';
import { inject, onTestFinished } from 'vitest';

import { startChild } from '../../scripts/support/children.ts';
import type { TestDatabase } from './database.ts';
import type { Answer } from './calls.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const entry = path.join(root, 'dist', 'server.js');

/** Longer than any start or stop takes on a busy machine; a test that gets here has failed. */
const PATIENCE_MS = 120_000;

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  ms: number;
}

function startService(env: Record<string, string>, stdout: 'pipe' | number) {
  const settings = { PORT: '0', LOG_LEVEL: 'info', ...env };
  return startChild(process.execPath, [entry], {
    cwd: root,
    env: settings,
    // The types of execa know descriptors up to 9; spawn takes any.
    stdout: stdout as 'pipe' | 3,
    // A test can have a reader of stdout that stands still.
    buffer: false,
    // A busy machine may stop a service late.
    forceKillAfterDelay: false,
  });
}

/** The built service in a process of its own, killed when the test ends. */
export class BuiltService {
  readonly child: ReturnType<typeof startService>;
  readonly exited: Promise<Exit>;
  stdout = '';
  stderr = '';
  url = '';

  /** @param stdout where its stdout goes; a pipe, unless a test has a file for it */
  constructor(env: Record<string, string>, stdout: 'pipe' | number = 'pipe') {
    if (!existsSync(entry)) spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
    this.child = startService(env, stdout);
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exited = this.child.then(({ exitCode, signal, durationMs }) => ({
      code: exitCode ?? null,
      signal: signal ?? null,
      ms: durationMs,
    }));
    onTestFinished(async () => {
      this.child.kill('SIGKILL');
      await this.exited;
    });
  }

  /** Waits until it says where it listens. @throws what it said when it ended instead */
  async ready(): Promise<this> {
    const ended = this.exited.then((exit) => {
      throw new Error(`ended with ${JSON.stringify(exit)}: ${this.stderr}`);
    });
    // A service that ends later, when its test ends it, is no news.
    ended.catch(() => undefined);
    while (this.url === '') {
      await Promise.race([once(this.child.stdout ?? this.child, 'data'), ended]);
      this.url = /"url":"(http:[^"]+)".*"msg":"listening"\}$/m.exec(this.stdout)?.[1] ?? '';
    }
    return this;
  }

  /** Signals it and waits for its end. @returns how it ended, and after how many ms */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    const begun = performance.now();
    this.child.kill(signal);
    const exit = await withPatience(this.exited);
    return { ...exit, ms: performance.now() - begun };
  }
}

export async function withPatience<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function startProcess(env: Record<string, string>): Promise<BuiltService> {
  return withPatience(new BuiltService(env).ready());
}

/** A database without any schema, dropped when the test ends. */
export async function useEmptyDatabase(
  adminUrl: string = inject('adminUrl'),
): Promise<Pick<TestDatabase, 'url' | 'query'>> {
  const admin = new pg.Pool({ connectionString: adminUrl, max: 1 });
  const name = `oi_test_empty_${process.pid}_${randomBytes(4).toString('hex')}`;
  await admin.query(`create database ${name} template template0`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 1 });
  pool.on('error', () => undefined);
  onTestFinished(async () => {
    await pool.end();
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  });
  return {
    url: url.href,
    query: async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
      (await pool.query<R>(text, values)).rows,
  };
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Answer['body'];
}

/** A client with one connection that it keeps alive, as a load balancer or a browser does. */
export class KeepAliveClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** @throws when the connection ends without a whole answer */
  call(
    method: string,
    path_: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const type = body === undefined ? {} : { 'content-type': 'application/json' };
      const sent = request(
        new URL(path_, this.#url),
        { method, agent: this.#agent, headers: { ...type, ...headers }, timeout: PATIENCE_MS },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (text += chunk));
          response.on('error', reject);
          response.on('end', () => {
            const answer = { status: response.statusCode ?? 0, headers: response.headers };
            resolve({ ...answer, body: text === '' ? undefined : JSON.parse(text) });
          });
        },
      );
      sent.on('timeout', () => sent.destroy(new Error('no answer')));
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
