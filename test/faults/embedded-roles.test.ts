import { appendFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { boundLog } from '../../src/embedded/log.ts';
import { cleanUp, hasProc, makeFolder, query, refusal, start } from '../support/embedded-services.ts';

afterEach(cleanUp);

const ROLES = `
  select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls,
    (select count(*)::int from pg_class where relowner = r.oid)
  from pg_roles r where rolname = current_user`;

describe.runIf(hasProc)('the roles of the embedded database', { timeout: 30_000 }, () => {
  test('the service owns nothing, can do nothing but its work, and a data folder of before is handed over', async () => {
    const folder = await makeFolder();
    const first = await start({ dataDir: folder });
    await migrateDatabase({ url: first.adminUrl, pgbouncer: false, onIdleError: () => undefined });
    // As a version without the two roles left it.
    for (const statement of [
      'alter database orders_inventory owner to postgres',
      'drop owned by orders_inventory_service',
      'drop role orders_inventory_service',
      'reassign owned by orders_inventory_owner to postgres',
      'drop owned by orders_inventory_owner',
      'drop role orders_inventory_owner',
    ]) {
      await query(first.adminUrl, statement);
    }
    await first.stop();

    const { serviceUrl, ownerUrl, adminUrl, dataDir } = await start({ dataDir: folder });
    expect(await query(serviceUrl, ROLES)).toEqual([false, 0]);
    expect(await query(ownerUrl, ROLES)).toEqual([false, expect.any(Number)]);
    const left = `
      select (select count(*)::int from pg_class where relnamespace = 'public'::regnamespace and relowner = 10),
        (select count(*)::int from pg_proc p where pronamespace = 'public'::regnamespace and proowner = 10
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')),
        (select datdba from pg_database where datname = current_database()) = 10`;
    expect(await query(adminUrl, left)).toEqual([0, 0, false]);

    // What the owner migrates later is the service's to use as well.
    await query(ownerUrl, 'create table later (id int generated always as identity)');
    await query(serviceUrl, 'insert into later default values');
    const insert = "insert into products (sku, name, price) values ('A', 'B', 1)";
    await query(serviceUrl, insert);
    for (const forbidden of [
      "copy products from program 'id'",
      "select pg_read_file('PG_VERSION')",
      'drop table products',
      'alter table products disable trigger all',
      'truncate products',
      'truncate events',
      'create table of_its_own ()',
      'create role other',
      'set role orders_inventory_owner',
    ]) {
      await expect(query(serviceUrl, forbidden)).rejects.toMatchObject({ code: '42501' });
    }

    // A row that is refused is an answer, not an event: the server's log does not grow with them.
    const log = path.join(path.dirname(dataDir), 'postgres.log');
    const before = (await stat(log)).size;
    for (let count = 0; count < 20; count++) {
      await expect(query(serviceUrl, insert)).rejects.toMatchObject({ code: '23505' });
    }
    expect((await stat(log)).size - before).toBeLessThan(365);
  });

  test("the server's log is emptied past 1 MB, with what was in it in a second file, and appended to from there", async () => {
    const log = path.join(await makeFolder(), 'postgres.log');
    await writeFile(log, 'x'.repeat(1_048_576));
    await boundLog(log);
    expect((await stat(log)).size).toBe(1_048_576);
    await appendFile(log, 'x');
    await boundLog(log);
    expect([(await stat(log)).size, (await stat(`${log}.1`)).size]).toEqual([0, 1_048_577]);
  });

  test('a DATA_DIR below /proc, where no folder can be made, is refused at once and in a sentence', async () => {
    const error = await refusal(start({ dataDir: '/proc/no/such/folder' }));
    expect(error.message).toMatch(
      /^The data folder \/proc\/no\/such\/folder cannot be used by this user .* set DATA_DIR/,
    );
  });
});
