/*
 * Where the embedded database lives.
 *
 * `<DATA_DIR>/postgres` is its home: `data` (the cluster), `password` (of its superuser) and `postgres.log`. A home is
 * made under a temporary name and renamed into place when it is whole. So a kill during initdb leaves nothing half-made,
 * of two starts at once one wins, and a cluster and its password always belong together.
 *
 * As root, PostgreSQL runs as another account, which may not be able to reach DATA_DIR. Then the home is made below
 * /var/lib/orders-inventory, and `<DATA_DIR>/postgres` is a symlink to it. The symlink is the only record of that:
 * deleting DATA_DIR gives a fresh database, and moving it moves the database along.
 */
import { randomBytes } from 'node:crypto';
import {
  chown,
  lstat,
  mkdir,
  open,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../lib/startup-error.ts';
import { isTaken, makeShared, removeLeftovers, SHARED_ROOT, temporaryName } from './binaries.ts';
import type { Binaries } from './binaries.ts';
import {
  type Account,
  canEnter,
  canUse,
  errorCode,
  errorText,
  requireName,
  run,
  serverAccount,
} from './process.ts';

export interface Home {
  /** DATA_DIR as an absolute path, for messages. */
  readonly folder: string;
  /** PostgreSQL's data directory, free of symlinks. */
  readonly data: string;
  readonly log: string;
  readonly password: string;
}

export interface HomeOptions {
  readonly folder: string;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly sharedRoot?: string | undefined;
  readonly notice: (text: string) => void;
}

// initdb takes half a second; a slow network disk, where it syncs a thousand files, up to a minute.
const INITDB_TIMEOUT_MS = 180_000;
const PASSWORD_BYTES = 24;
// Code point order everywhere and for good: PostgreSQL's own provider does not change with the system's C library,
// which would corrupt text indexes. Only Linux is sure to have C.UTF-8 for the parts that still use that library.
const LOCALE = process.platform === 'linux' ? 'C.UTF-8' : 'C';
const INITDB_OPTIONS = [
  '--encoding=UTF8',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  `--locale=${LOCALE}`,
  '--auth=scram-sha-256',
  '--username=postgres',
];

/**
 * The account to run PostgreSQL as. An existing cluster decides: PostgreSQL insists on running as the owner of its
 * data, and an operator may start the service as a plain user first and as root later.
 */
export async function accountFor(folder: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return requireName();
  const data = await stat(path.join(folder, 'postgres', 'data')).catch(() => undefined);
  if (data !== undefined && data.uid !== 0) return { uid: data.uid, gid: data.gid };
  return serverAccount();
}

/** Opens the home in this DATA_DIR, and makes it first when there is none. */
export async function openHome(options: HomeOptions): Promise<Home> {
  const { folder, account } = options;
  const place = path.join(folder, 'postgres');
  await orUnusable(folder, async () => {
    await makeFolder(folder);
    await removeLeftovers(folder);
    if (!(await exists(place))) await makeHome(options, place);
  });
  const home = await realpath(place).catch(() => undefined);
  if (home === undefined) {
    throw new StartupError(
      `The database of the data folder ${folder} is gone from where ${place} points to: bring it back, ` +
        `or delete ${place} to begin with an empty database.`,
    );
  }
  return orUnusable(folder, async () => {
    const password = await readIfThere(path.join(home, 'password'));
    const version = await readIfThere(path.join(home, 'data', 'PG_VERSION'));
    if (password === undefined || version === undefined) {
      throw new StartupError(
        `The folder ${place} is not a database of this service: move it away, or set DATA_DIR to another folder.`,
      );
    }
    if (version.trim() !== options.binaries.major) {
      throw new StartupError(
        `The database in ${place} was made by PostgreSQL ${version.trim()}, which PostgreSQL ` +
          `${options.binaries.major} cannot open: move it over with pg_dump, or set DATA_DIR to another folder.`,
      );
    }
    const data = path.join(home, 'data');
    if (!(await canUse(data, account))) {
      const user = `The user that PostgreSQL runs as (uid ${account?.uid ?? process.getuid?.()})`;
      throw new StartupError(
        (await canEnter(data, account))
          ? `${user} cannot write to the database in ${home}: the disk may be read-only, or the files another user's. ` +
              'Mend that, or set DATA_DIR to another folder.'
          : `${user} cannot reach the database in ${home}: ` +
              'move the data folder to where that user may go, or set DATA_DIR to another folder.',
      );
    }
    return {
      folder,
      data: path.join(home, 'data'),
      log: path.join(home, 'postgres.log'),
      password: password.trim(),
    };
  });
}

/** Makes the folder and its parents. Node's recursive mkdir never returns below /proc, where no folder can be made. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (errorCode(error) === 'EEXIST' && (await stat(folder)).isDirectory()) return;
    if (errorCode(error) !== 'ENOENT' || path.dirname(folder) === folder) throw error;
    await makeFolder(path.dirname(folder));
    await mkdir(folder);
  }
}

/** Turns a failed system call into an instruction for the operator. */
async function orUnusable<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    throw new StartupError(
      `The data folder ${folder} cannot be used by this user (${errorText(error)}): ` +
        'give it the right to read and write there, or set DATA_DIR to another folder.',
      { cause: error },
    );
  }
}

async function exists(place: string): Promise<boolean> {
  const found = await lstat(place).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error;
  });
  return found !== undefined;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function makeHome(options: HomeOptions, place: string): Promise<void> {
  const { folder, account } = options;
  const sharedRoot = options.sharedRoot ?? SHARED_ROOT;
  options.notice(`Creating the database in ${place}.`);
  const inside = path.join(folder, temporaryName());
  if (await prepare(inside, account)) return build(options, inside, () => rename(inside, place));

  await makeShared(sharedRoot);
  const outside = path.join(sharedRoot, temporaryName());
  if (!(await prepare(outside, account))) {
    await rm(outside, { recursive: true, force: true });
    throw new StartupError(
      `PostgreSQL does not run as root, and the user it runs as (uid ${account?.uid ?? '?'}) can use neither ${folder} ` +
        `nor ${sharedRoot}: set DATA_DIR to a folder that it can reach.`,
    );
  }
  const home = path.join(sharedRoot, randomBytes(8).toString('hex'));
  options.notice(`The user that PostgreSQL runs as cannot reach ${folder}: the database lives in ${home}.`);
  return build(options, outside, async () => {
    await rename(outside, home);
    // A kill between these two leaves a cluster that nothing points to, and no data is ever written to it. It is not
    // cleaned up: nothing could tell it from one whose DATA_DIR was moved.
    await symlink(home, place).catch(async (error: unknown) => {
      await rm(home, { recursive: true, force: true });
      throw error;
    });
  });
}

/** Makes an empty folder for the account; false when the account cannot use it there. */
async function prepare(home: string, account: Account | undefined): Promise<boolean> {
  await mkdir(home, { mode: 0o700 });
  try {
    if (account !== undefined) await chown(home, account.uid, account.gid);
    if (account === undefined || (await canUse(home, account))) return true;
  } catch {
    // A file system without owners cannot hold a cluster either: PostgreSQL insists on owning its data.
  }
  await rm(home, { recursive: true, force: true });
  return false;
}

async function build(options: HomeOptions, temporary: string, publish: () => Promise<void>): Promise<void> {
  const { account, binaries } = options;
  try {
    const password = path.join(temporary, 'password');
    const data = path.join(temporary, 'data');
    await writeFile(password, randomBytes(PASSWORD_BYTES).toString('hex'), { mode: 0o600, flag: 'wx' });
    if (account !== undefined) await chown(password, account.uid, account.gid);
    const args = [...INITDB_OPTIONS, `--pwfile=${password}`, '--no-instructions', '-D', data];
    const outcome = await run(binaries.initdb, args, { account, timeoutMs: INITDB_TIMEOUT_MS });
    if (outcome.code !== 0) {
      throw new StartupError(
        `PostgreSQL could not create its database in ${options.folder}, mend what initdb says or set DATABASE_URL ` +
          `to a PostgreSQL that is running: ${outcome.output}`,
      );
    }
    await sync(password);
    await sync(temporary);
    await publish();
    // Without this a power cut could undo the rename, and take with it all transactions committed since.
    await sync(options.folder);
  } catch (error) {
    // Another start was first. Go on with its home: it is as whole as ours.
    if (!(isTaken(error) && (await exists(path.join(options.folder, 'postgres'))))) throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function sync(target: string): Promise<void> {
  if (process.platform === 'win32') return; // which cannot open a folder, and orders its metadata by a journal
  const handle = await open(target, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
