import { readdir, readFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { migrationsDir } from '../../src/db/paths.ts';
import { useSharedDatabase } from '../support/database.ts';

const database = useSharedDatabase();

/** Ours: all but the tables that the migrator keeps for itself. */
const OURS = "n.nspname = 'public' and c.relname not like 'kysely\\_%'";

interface Constraint {
  table: string;
  name: string;
  kind: 'p' | 'u' | 'c' | 'f';
  columns: string[];
}

function constraints(): Promise<Constraint[]> {
  return database.query<Constraint & Record<string, unknown>>(`
    select c.relname as table, k.conname as name, k.contype as kind,
           array(select attname::text from unnest(k.conkey) with ordinality as key (number, position)
                   join pg_attribute a on a.attrelid = c.oid and a.attnum = key.number
                  order by position) as columns
      from pg_constraint k
      join pg_class c on c.oid = k.conrelid
      join pg_namespace n on n.oid = c.relnamespace
     where ${OURS} and k.contype in ('p', 'u', 'c', 'f')`);
}

test('every constraint has a name of its own: given in a migration, or by a renaming, none made up by PostgreSQL', async () => {
  const files = (await readdir(migrationsDir)).filter((name) => name.endsWith('.sql'));
  const texts = await Promise.all(files.map((file) => readFile(`${migrationsDir}/${file}`, 'utf8')));
  const sql = texts.join('\n');
  const all = await constraints();
  expect(all.length).toBeGreaterThan(30);
  const unsaid = all.filter(
    ({ name }) => !new RegExp(String.raw`\b(constraint|to) ${name}\b`, 'i').test(sql),
  );
  expect(unsaid).toEqual([]);
  // PostgreSQL's own names for checks end so, numbered when there are several.
  expect(all.filter(({ name, kind }) => kind === 'c' && /_check\d*$/.test(name))).toEqual([]);
  expect(all.filter(({ table, name }) => !name.startsWith(`${table}_`))).toEqual([]);
});

test('every table has a primary key', async () => {
  const keyless = await database.query(`
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where ${OURS} and c.relkind = 'r'
       and not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p')`);
  expect(keyless).toEqual([]);
});

test('every foreign key has an index that begins with its referencing columns', async () => {
  const keys = (await constraints()).filter(({ kind }) => kind === 'f');
  expect(keys.length).toBeGreaterThanOrEqual(2);
  const indexes = await database.query<{ table: string; columns: string[] }>(`
    select c.relname as table,
           array(select coalesce(a.attname::text, '')
                   from unnest(i.indkey::int2[]) with ordinality as key (number, position)
                   left join pg_attribute a on a.attrelid = c.oid and a.attnum = key.number
                  order by position) as columns
      from pg_index i
      join pg_class c on c.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace
     where ${OURS} and i.indpred is null and i.indisvalid`);
  const withoutIndex = keys.filter(
    ({ table, columns }) =>
      !indexes.some(
        (index) => index.table === table && index.columns.slice(0, columns.length).join() === columns.join(),
      ),
  );
  expect(withoutIndex).toEqual([]);
});

test('no index holds a counter of stock, so that selling rewrites no index', async () => {
  const indexed = await database.query(`
    select i.indexrelid::regclass::text as index from pg_index i
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey::int2[])
     where i.indrelid = 'products'::regclass and a.attname in ('on_hand', 'reserved', 'version', 'updated_at')`);
  expect(indexed).toEqual([]);
});

test('every time is a timestamptz with milliseconds, and money is numeric(12,2)', async () => {
  const columns = await database.query<{ column: string; type: string }>(`
    select c.relname || '.' || a.attname as column, format_type(a.atttypid, a.atttypmod) as type
      from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
     where ${OURS} and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped`);
  const times = columns.filter(({ type }) => /time|date/.test(type));
  expect(times.length).toBeGreaterThan(8);
  expect(times.filter(({ type }) => type !== 'timestamp(3) with time zone')).toEqual([]);
  const money = columns.filter(({ column }) => /\.(price|unit_price|total|amount)$/.test(column));
  expect(money.length).toBeGreaterThanOrEqual(5);
  expect(money.filter(({ type }) => type !== 'numeric(12,2)')).toEqual([]);
  expect(columns.filter(({ type }) => /real|double|money|float/.test(type))).toEqual([]);
});

test('migrating a migrated database does nothing', async () => {
  const options = { url: database.url, pgbouncer: false, onIdleError: () => undefined };
  expect(await migrateDatabase(options)).toEqual({ migrated: [], newer: [] });
});

/** What a column of a type is in TypeScript, by the parsers of type-parsers.ts. */
const TYPES: Record<string, string> = {
  bigint: 'number',
  smallint: 'number',
  integer: 'number',
  numeric: 'Numeric',
  text: 'string',
  boolean: 'boolean',
  bytea: 'Buffer',
  json: 'Json',
  jsonb: 'Json',
  pg_snapshot: 'string',
  // All arrays are of texts.
  ARRAY: 'string[]',
  'timestamp with time zone': 'string',
  xid8: 'string',
};

test('the generated types in src/db/schema.ts have the tables, columns, types and defaults of the database', async () => {
  const columns = await database.query<Record<'table' | 'name' | 'type' | 'nullable' | 'generated', string>>(`
    select table_name as table, column_name as name, data_type as type, is_nullable as nullable,
           case when is_identity = 'YES' or column_default is not null then 'YES' else 'NO' end as generated
      from information_schema.columns
     where table_schema = 'public' and table_name not like 'kysely\\_%'
     order by table_name, column_name`);
  const expected: Record<string, string[]> = {};
  for (const { table, name, type, nullable, generated } of columns) {
    const base = TYPES[type] ?? `unknown type ${type}`;
    const whole = nullable === 'YES' ? `${base} | null` : base;
    (expected[table] ??= []).push(`${name}: ${generated === 'YES' ? `Generated<${whole}>` : whole};`);
  }

  const source = await readFile(new URL('../../src/db/schema.ts', import.meta.url), 'utf8');
  const interfaces = new Map(
    [...source.matchAll(/^export interface (\w+) \{\n([^}]*)\}/gm)].map(([, name, body = '']) => [
      name ?? '',
      body
        .trim()
        .split('\n')
        .map((line) => line.trim()),
    ]),
  );
  const tables = (interfaces.get('DB') ?? []).map((line) => /^(\w+): (\w+);$/.exec(line)?.slice(1) ?? []);
  const generated = Object.fromEntries(
    tables.map(([table = '', name = '']) => [table, interfaces.get(name)?.toSorted()]),
  );
  expect(generated).toEqual(expected);
});
