import { access, constants, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { ScriptFailure } from '../support/arguments.ts';
import { type Children, startChild } from '../support/children.ts';
import type { Bench } from './bench.ts';
import type { Measurement, Step } from './measure.ts';
import { type Latency, summarize } from './statistics.ts';

/*
 * PostgreSQL's own benchmark client, written in C: what the database does at most with one transaction an order. It
 * works on the leanest tables that can do it (peers.ts), with prepared statements, and speaks no HTTP.
 */
const SCRIPT = String.raw`\set product random(:first, :last)
BEGIN;
SELECT price, stock FROM products WHERE id = :product FOR UPDATE \gset
UPDATE products SET stock = stock - 1 WHERE id = :product;
INSERT INTO orders (total) VALUES (:price) RETURNING id AS order_id \gset
INSERT INTO order_items (order_id, product_id, quantity, unit_price) VALUES (:order_id, :product, 1, :price);
INSERT INTO outbox (type, payload) VALUES ('order.created', jsonb_build_object('order_id', :order_id::bigint, 'product_id', :product::bigint, 'quantity', 1));
COMMIT;
`;

interface PgbenchSpec {
  clients: number;
  /** The products with these ids and all between are ordered at random. */
  first: number;
  last: number;
}

export class Pgbench {
  readonly version: string;
  readonly #binary: string;
  readonly #children: Children;
  readonly #folder: string;
  readonly #database: Record<string, string>;

  private constructor(
    binary: string,
    version: string,
    children: Children,
    folder: string,
    databaseUrl: string,
  ) {
    this.#binary = binary;
    this.version = version;
    this.#children = children;
    this.#folder = folder;
    const url = new URL(databaseUrl);
    this.#database = {
      PGHOST: url.hostname.replaceAll(/[[\]]/g, ''),
      PGPORT: url.port || '5432',
      PGUSER: decodeURIComponent(url.username),
      PGPASSWORD: decodeURIComponent(url.password),
      PGDATABASE: url.pathname.slice(1),
    };
  }

  /** Undefined when there is no pgbench on this machine. */
  static async find({ children, opened }: Bench, databaseUrl: string): Promise<Pgbench | undefined> {
    const binary = await findBinary();
    if (binary === undefined) return undefined;
    const folder = await mkdtemp(path.join(os.tmpdir(), 'orders-inventory-pgbench-'));
    opened.add(() => rm(folder, { recursive: true, force: true }));
    await writeFile(path.join(folder, 'order.sql'), SCRIPT);
    const { stdout } = await startChild(binary, ['--version'], {});
    const version = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? '?';
    return new Pgbench(binary, version, children, folder, databaseUrl);
  }

  step(name: string, spec: PgbenchSpec): Step {
    return {
      name,
      run: async (measureMs) => ({ measurement: await this.#measure(spec, measureMs), faults: [] }),
    };
  }

  async #measure({ clients, first, last }: PgbenchSpec, measureMs: number): Promise<Measurement> {
    const seconds = Math.max(1, Math.ceil(measureMs / 1000));
    const fixed = '--no-vacuum --protocol=prepared --file=order.sql --log --log-prefix=run'.split(' ');
    const load = `--client=${clients} --jobs=${Math.min(2, clients)} --time=${seconds}`.split(' ');
    const products = `--define=first=${first} --define=last=${last}`.split(' ');
    const output = await this.#execute([...fixed, ...load, ...products]);
    const rate = /tps = ([\d.]+) \((?:without|excluding)/.exec(output)?.[1];
    if (rate === undefined) throw new ScriptFailure(`pgbench came to no transaction within ${seconds} s.`);
    return { perSecond: Number(rate), latencyMs: await this.#takeLatency() };
  }

  /** pgbench prints only the mean, which one slow flush can double; its log has every transaction, in microseconds. */
  async #takeLatency(): Promise<Latency> {
    const names = (await readdir(this.#folder)).filter((name) => name.startsWith('run.'));
    const files = names.map((name) => path.join(this.#folder, name));
    const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    await Promise.all(files.map((file) => rm(file)));
    const lines = texts.flatMap((text) => text.trim().split('\n'));
    return summarize(lines.map((line) => Number(line.split(' ')[2]) / 1000));
  }

  async #execute(args: string[]): Promise<string> {
    const options = { env: this.#database, cwd: this.#folder };
    const { failed, stdout, stderr } = await this.#children.start(this.#binary, args, options);
    if (failed) throw new Error(`pgbench failed: ${stderr}`);
    return stdout;
  }
}

/** The newest installed, when none is on the PATH: Debian keeps its programs off it. */
async function findBinary(): Promise<string | undefined> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch(() => [] as string[]);
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  const folders = [
    ...(process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== ''),
    ...newestFirst.map((version) => path.join(root, version, 'bin')),
  ];
  const name = process.platform === 'win32' ? 'pgbench.exe' : 'pgbench';
  for (const folder of folders) {
    const file = path.join(folder, name);
    const usable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return file;
  }
  return undefined;
}
