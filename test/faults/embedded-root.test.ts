import { chmod, cp, lstat, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  cleanUp,
  hasProc,
  isRoot,
  makeFolder,
  packageRoot,
  postmasterOf,
  query,
  refusal,
  start,
} from '../support/embedded-services.ts';

afterEach(cleanUp);

describe.runIf(hasProc && isRoot)('embedded PostgreSQL, started by root', { timeout: 30_000 }, () => {
  test('a DATA_DIR below a folder with mode 0700 works, says once where the data is, and keeps it', async () => {
    const sharedRoot = await makeFolder('/var/lib');
    const closed = await makeFolder(tmpdir(), 0o700);
    const dataDir = path.join(closed, 'data');
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    const first = await start({ dataDir, onNotice }, { sharedRoot });
    await query(first.adminUrl, 'create table kept as select 42 as answer');
    await first.stop();
    const second = await start({ dataDir, onNotice }, { sharedRoot });

    expect(await query(second.adminUrl, 'select answer from kept')).toEqual([42]);
    expect(second.dataDir.startsWith(sharedRoot)).toBe(true);
    expect((await lstat(path.join(dataDir, 'postgres'))).isSymbolicLink()).toBe(true);
    expect(notices.filter((text) => text.includes('cannot reach'))).toHaveLength(1);
    expect((await stat(closed)).mode & 0o777).toBe(0o700);
    await second.stop();

    await rm(dataDir, { recursive: true });
    const fresh = await start({ dataDir }, { sharedRoot });
    expect(await query(fresh.adminUrl, "select to_regclass('kept')")).toEqual([null]);
    await fresh.stop();

    await rm(path.dirname(fresh.dataDir), { recursive: true });
    const gone = await refusal(start({ dataDir }, { sharedRoot }));
    expect(gone.message).toMatch(/is gone from where .* points to/);
  });

  test('binaries in a folder with mode 0700, without their symlinks, are completed and copied once', async () => {
    const sharedRoot = await makeFolder('/var/lib');
    const closed = await makeFolder(tmpdir(), 0o700);
    const project = path.join(closed, 'package');
    await cp(packageRoot, project, { recursive: true, verbatimSymlinks: true });
    await rm(path.join(project, 'native', 'lib', 'libicuuc.so.60'));
    await chmod(path.join(project, 'native', 'lib'), 0o700);
    const places = { packageRoot: project, sharedRoot };

    const folder = await makeFolder();
    const first = await start({ dataDir: folder }, places);
    const copies = await readdir(sharedRoot);
    expect(copies).toEqual([expect.stringMatching(/^postgresql-18\./)]);
    const copy = path.join(sharedRoot, copies[0] ?? '');
    const command = await readFile(`/proc/${postmasterOf(first.dataDir)}/cmdline`, 'utf8');
    expect(command.startsWith(path.join(copy, 'bin', 'postgres'))).toBe(true);
    expect((await lstat(path.join(copy, 'lib', 'libicuuc.so.60'))).isSymbolicLink()).toBe(true);
    await first.stop();

    const { ino } = await stat(copy);
    await start({ dataDir: folder }, places);
    expect((await stat(copy)).ino).toBe(ino);
  });
});
