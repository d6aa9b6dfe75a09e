import { once } from 'node:events';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import {
  childrenOf,
  cleanUp,
  eventually,
  hasProc,
  killPostgres,
  makeFolder,
  postmasterOf,
  processOf,
  query,
  refusal,
  spawnService,
  start,
  startService,
} from '../support/embedded-services.ts';

afterEach(cleanUp);

describe.runIf(hasProc)('embedded PostgreSQL', { timeout: 30_000 }, () => {
  test('an empty folder gives a durable database, outside our process group, that only its password opens', async () => {
    const folder = await makeFolder();
    const embedded = await start({
      dataDir: path.join(folder, 'new', 'data'),
      serverSettings: { max_connections: '40', application_name: "it's set" },
    });

    const settings = ['fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums', 'timezone'];
    const selected = [
      ...settings,
      'listen_addresses',
      'max_connections',
      'application_name',
      'server_encoding',
    ];
    const list = selected.map((name) => `current_setting('${name}')`).join(', ');
    expect(await query(embedded.adminUrl, `select current_database(), ${list}`)).toEqual([
      'orders_inventory',
      'on',
      'on',
      'on',
      'on',
      'UTC',
      '127.0.0.1',
      '40',
      "it's set",
      'UTF8',
    ]);
    expect(await query(embedded.adminUrl, "select lower('ÄÉ'), 'a' > 'B'")).toEqual(['äé', true]);

    const postmaster = processOf(postmasterOf(embedded.dataDir));
    expect(postmaster?.group).not.toBe(processOf(process.pid)?.group);
    expect((await stat(path.join(embedded.dataDir, '..', 'password'))).mode & 0o777).toBe(0o600);
    const wrong = new URL(embedded.adminUrl);
    wrong.password = 'wrong';
    await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  });

  test('stop ends every process, and the next start has the same data, password and port', async () => {
    const folder = await makeFolder();
    const first = await start({ dataDir: folder });
    await query(first.adminUrl, 'create table kept as select 42 as answer');
    const postmaster = postmasterOf(first.dataDir);
    const pids = [postmaster, ...childrenOf(postmaster)];
    expect(pids.length).toBeGreaterThan(3);

    await Promise.all([first.stop(), first.stop()]);
    expect(pids.filter((pid) => processOf(pid) !== undefined)).toEqual([]);

    const second = await start({ dataDir: path.relative(process.cwd(), folder) });
    expect(second.adminUrl).toBe(first.adminUrl);
    expect(await query(second.adminUrl, 'select answer from kept')).toEqual([42]);
  });

  test('when another program has taken the port, the next start takes another one', async () => {
    const folder = await makeFolder();
    const first = await start({ dataDir: folder });
    await first.stop();
    const squatter = createServer().listen(Number(new URL(first.adminUrl).port), '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const second = await start({ dataDir: folder });
      expect(new URL(second.adminUrl).port).not.toBe(new URL(first.adminUrl).port);
      expect(await query(second.adminUrl, 'select 1')).toEqual([1]);
    } finally {
      squatter.close();
    }
  });

  test('kill -9 of the service and of all of PostgreSQL: the next start has everything that was committed', async () => {
    const folder = await makeFolder();
    const { child, said } = await startService(folder);
    await query(said.databaseUrl ?? '', 'create table kept as select generate_series(1, 1000) as n');
    child.kill('SIGKILL');
    killPostgres(said.dataDir ?? '');

    const next = await start({ dataDir: folder });
    expect(await query(next.adminUrl, 'select count(*)::int from kept')).toEqual([1000]);
  });

  test.each(['the postmaster alone', 'the postmaster and all its children'])(
    'kill -9 of %s: PostgreSQL is back by itself within 5 s, on the same port, and still ours',
    async (what) => {
      const folder = await makeFolder();
      const notices: string[] = [];
      const embedded = await start({ dataDir: folder, onNotice: (text) => notices.push(text) });
      await query(embedded.adminUrl, 'create table kept as select 42 as answer');
      for (const round of [1, 2]) {
        const killed = postmasterOf(embedded.dataDir);
        if (what === 'the postmaster alone') process.kill(killed, 'SIGKILL');
        else killPostgres(embedded.dataDir);

        const answer = await eventually(50_000, () => query(embedded.adminUrl, 'select answer from kept'));
        expect(answer).toEqual([42]);
        expect(postmasterOf(embedded.dataDir)).not.toBe(killed);
        await expect.poll(() => notices.filter((text) => text === 'PostgreSQL is back.').length).toBe(round);
      }
      await embedded.stop();
      await sleep(300);
      await expect(query(embedded.adminUrl, 'select 1')).rejects.toThrow('ECONNREFUSED');
    },
  );

  test('a second service on the same folder is told so in a sentence, and the first one is unharmed', async () => {
    const folder = await makeFolder();
    const embedded = await start({ dataDir: folder });
    const postmaster = postmasterOf(embedded.dataDir);

    const { said } = await startService(folder);
    expect(said).toMatchObject({
      name: 'StartupError',
      message:
        `The data folder ${folder} is in use by another running service. ` +
        'Stop that one, or set DATA_DIR to another folder.',
    });
    expect(postmasterOf(embedded.dataDir)).toBe(postmaster);
    expect(await query(embedded.adminUrl, 'select 1')).toEqual([1]);
  });

  test('kill -9 of the service alone: the next start takes over the running PostgreSQL', async () => {
    const folder = await makeFolder();
    const begun = performance.now();
    const { child, said } = await startService(folder);
    const firstMs = performance.now() - begun;
    const postmaster = postmasterOf(said.dataDir ?? '');
    child.kill('SIGKILL');

    const before = performance.now();
    const next = await start({ dataDir: folder });
    // The first start made a database and a process, and took seconds.
    expect(performance.now() - before).toBeLessThan(firstMs);
    expect(next.adminUrl).toBe(said.databaseUrl);
    expect(postmasterOf(next.dataDir)).toBe(postmaster);
  });

  test('a start during the stop of the former service waits for it, and then has a PostgreSQL of its own', async () => {
    const folder = await makeFolder();
    const former = await start({ dataDir: folder });
    const postmaster = postmasterOf(former.dataDir);
    const starting = start({ dataDir: folder });
    await sleep(300);
    await former.stop();
    const next = await starting;
    expect(postmasterOf(next.dataDir)).not.toBe(postmaster);
    expect(await query(next.adminUrl, 'select 1')).toEqual([1]);
  });

  test('of two services that start at once on an empty folder exactly one wins, with a whole database', async () => {
    const folder = await makeFolder();
    const services = await Promise.all([startService(folder), startService(folder)]);
    const winners = services.filter(({ said }) => said.databaseUrl !== undefined);
    const losers = services.filter(({ said }) => said.message?.includes('in use by another running service'));
    expect([winners.length, losers.length]).toEqual([1, 1]);

    const winner = winners[0];
    expect(await query(winner?.said.databaseUrl ?? '', 'select 1')).toEqual([1]);
    expect(await readdir(folder)).toEqual(['postgres']);
    winner?.child.stdin?.write('stop');
    if (winner !== undefined) await once(winner.child, 'exit');

    const again = await start({ dataDir: folder });
    expect(again.adminUrl).toBe(winner?.said.databaseUrl);
  });

  test('kill -9 in the middle of initdb leaves nothing that the next start stumbles over', async () => {
    const folder = await makeFolder();
    const child = spawnService(folder);
    await expect.poll(() => readdir(folder), { interval: 10 }).not.toEqual([]);
    child.kill('SIGKILL');
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^\.postgres-new-/)]);

    const next = await start({ dataDir: folder });
    expect(await query(next.adminUrl, 'select 1')).toEqual([1]);
  });

  test('a folder that is no folder, or holds what is not ours, is named in one sentence', async () => {
    const folder = await makeFolder();
    await writeFile(path.join(folder, 'file'), '');
    const file = await refusal(start({ dataDir: path.join(folder, 'file') }));
    expect(file.message).toMatch(/^The data folder .*file cannot be used by this user .* set DATA_DIR/);

    await mkdir(path.join(folder, 'postgres'));
    const strange = await refusal(start({ dataDir: folder }));
    expect(strange.message).toMatch(/is not a database of this service: move it away/);

    const special = await refusal(start({ dataDir: path.join(folder, '$(id)') }));
    expect(special.message).toMatch(/special to the shell/);
  });

  test('data of another major version is refused with both versions, and left as it is', async () => {
    const folder = await makeFolder();
    const embedded = await start({ dataDir: folder });
    await embedded.stop();
    const file = path.join(embedded.dataDir, 'PG_VERSION');
    await writeFile(file, '17\n');
    const error = await refusal(start({ dataDir: folder }));
    expect(error.message).toMatch(/was made by PostgreSQL 17, which PostgreSQL 18 cannot open/);
    await writeFile(file, '18\n');
    expect(await query((await start({ dataDir: folder })).adminUrl, 'select 1')).toEqual([1]);
  });

  test('a PostgreSQL that cannot start is reported with the end of its log', async () => {
    const folder = await makeFolder();
    // The second start has no database to make, and takes a tenth of a second.
    await (await start({ dataDir: folder })).stop();
    const before = performance.now();
    const error = await refusal(start({ dataDir: folder, serverSettings: { shared_buffers: 'lots' } }));
    expect(error.message).toContain('invalid value for parameter "shared_buffers": "lots"');
    // At once, and not when its patience for a server that may still be on its way is over (15 s).
    expect(performance.now() - before).toBeLessThan(10_000);
  });
});
