/*
 * The roles of the embedded database. The superuser `postgres` is for its upkeep alone: it watches over the server, and
 * makes the other two at each start. The owner owns the database and all in it, and migrates. The service reads and
 * writes rows, and owns nothing: a fault in the service cannot drop a table, read a file or run a program.
 *
 * A data folder that an earlier version made belongs to the superuser; its ownership is changed here.
 */
import { randomBytes } from 'node:crypto';

import { Client } from 'pg';

import { scramOnlySocket } from '../db/scram-only.ts';

export const DATABASE = 'orders_inventory';
export const OWNER = 'orders_inventory_owner';
const SERVICE = 'orders_inventory_service';
const PASSWORD_BYTES = 24;
const CONNECT_TIMEOUT_MS = 5_000;

/** Passwords are new at each start: none needs storing, and a leaked one is soon useless. */
export interface Passwords {
  readonly owner: string;
  readonly service: string;
}

export function makePasswords(): Passwords {
  return { owner: makePassword(), service: makePassword() };
}

function makePassword(): string {
  return randomBytes(PASSWORD_BYTES).toString('hex');
}

export interface RoleUrls {
  readonly ownerUrl: string;
  readonly serviceUrl: string;
}

export function urlsOf(port: number, passwords: Passwords): RoleUrls {
  return {
    ownerUrl: urlOf(OWNER, passwords.owner, port),
    serviceUrl: urlOf(SERVICE, passwords.service, port),
  };
}

/** The embedded server has no TLS; PGSSLMODE is for other servers. */
export function urlOf(user: string, password: string, port: number): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${DATABASE}?sslmode=disable`;
}

/**
 * Creates or corrects the database and its roles, also when an earlier start was interrupted.
 * @param admin the superuser's connection to the database `postgres`, which holds the owner's lock
 */
export async function prepareDatabase(
  admin: Client,
  address: { port: number; adminPassword: string },
  passwords: Passwords,
): Promise<void> {
  await prepareRole(admin, OWNER, passwords.owner);
  await prepareRole(admin, SERVICE, passwords.service);
  const found = await admin.query('select 1 from pg_database where datname = $1', [DATABASE]);
  if (found.rowCount === 0) await admin.query(`create database ${DATABASE}`);
  await admin.query(`alter database ${DATABASE} owner to ${OWNER}`);
  const client = new Client({
    connectionString: urlOf('postgres', address.adminPassword, address.port),
    stream: scramOnlySocket,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(HAND_OVER);
    await client.query(GRANT);
  } finally {
    await client.end();
  }
}

/** The password is hex, so it needs no quoting. */
async function prepareRole(admin: Client, role: string, password: string): Promise<void> {
  const found = await admin.query('select 1 from pg_roles where rolname = $1', [role]);
  if (found.rowCount === 0) await admin.query(`create role ${role}`);
  await admin.query(
    `alter role ${role} with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password '${password}'`,
  );
}

/** Indexes and the sequences of columns follow their tables; objects of an extension stay with the superuser. */
const HAND_OVER = `
  do $$
  declare
    object record;
  begin
    alter schema public owner to ${OWNER};
    for object in
      select c.relname as name, case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
        when 'S' then 'sequence' else 'table' end as kind
      from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
        and c.relowner <> '${OWNER}'::regrole
        and not exists (
          select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i', 'e')
        )
    loop
      execute format('alter %s public.%I owner to ${OWNER}', object.kind, object.name);
    end loop;
    for object in
      select p.oid::regprocedure as name
      from pg_proc p
      where p.pronamespace = 'public'::regnamespace and p.proowner <> '${OWNER}'::regrole
        and not exists (
          select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
        )
    loop
      execute format('alter routine %s owner to ${OWNER}', object.name);
    end loop;
    for object in
      select t.oid::regtype as name
      from pg_type t
      where t.typnamespace = 'public'::regnamespace and t.typtype in ('e', 'd') and t.typowner <> '${OWNER}'::regrole
        and not exists (
          select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
        )
    loop
      execute format('alter type %s owner to ${OWNER}', object.name);
    end loop;
  end $$`;

/** Grants on existing objects, and on those that the owner will create. */
const GRANT = `
  grant usage on schema public to ${SERVICE};
  grant select, insert, update, delete on all tables in schema public to ${SERVICE};
  grant usage, select on all sequences in schema public to ${SERVICE};
  grant execute on all functions in schema public to ${SERVICE};
  alter default privileges for role ${OWNER} in schema public
    grant select, insert, update, delete on tables to ${SERVICE};
  alter default privileges for role ${OWNER} in schema public grant usage, select on sequences to ${SERVICE};
  alter default privileges for role ${OWNER} in schema public grant execute on functions to ${SERVICE}`;
