import { spawn } from 'node:child_process';
import { userInfo } from 'node:os';
import { StartupError } from '../lib/startup-error.ts';

/** The account that PostgreSQL runs as, if it is another than this process's. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface Outcome {
  /** null when the program did not run, or was ended by a signal. */
  readonly code: number | null;
  /** The end of its output, or the reason why it did not run. */
  readonly output: string;
}

export interface RunOptions {
  readonly account?: Account | undefined;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
}

// Enough for every message of initdb and pg_ctl; a bound, so that a chatty program cannot fill our memory.
const OUTPUT_LIMIT_CHARS = 8_192;

// A server that inherited the pipes of pg_ctl (Windows) would hold them open for its whole life, so the exit counts.
const PIPES_AFTER_EXIT_MS = 500;

// LC_ALL: messages are read by program. PATH: where every system has its shell, id and useradd.
const PLAIN_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

const SERVER_ACCOUNT = 'postgres';
const ACCOUNT_TIMEOUT_MS = 10_000;

/**
 * Runs a program to its end. It never rejects: the outcome says what failed.
 *
 * It runs in a session of its own, because a Ctrl-C in the terminal goes to the whole foreground process group, and
 * would end an initdb or a `pg_ctl stop` half way. Its working directory is `/`, because the current one may be closed
 * to the other account. The environment holds nothing of ours: PostgreSQL keeps it for life, and ours has secrets.
 */
export function run(file: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  const windows = process.platform === 'win32';
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(file, args, {
      ...options.account,
      cwd: options.cwd ?? '/',
      env: options.env ?? (windows ? process.env : PLAIN_ENVIRONMENT),
      detached: !windows,
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
    });
    const collect = (chunk: string): void => {
      output = (output + chunk).slice(-OUTPUT_LIMIT_CHARS);
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', (error) => resolve({ code: null, output: error.message }));
    child.on('exit', () => {
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPES_AFTER_EXIT_MS).unref();
    });
    child.on('close', (code) => resolve({ code, output: output.trim() }));
  });
}

/** PostgreSQL refuses to run as root; root therefore runs it as another account. Undefined: as ourselves. */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const found = await findAccount();
  if (found !== undefined) return found;
  // shadow-utils, then the same where a group of this name is left over, then busybox. Each outcome is judged by the
  // account being there, so that a second start which created it in the same moment does not matter.
  const attempts: [string, ...string[]][] = [
    ['useradd', '--system', '--user-group', '--no-create-home', '--shell', '/bin/false', SERVER_ACCOUNT],
    [
      'useradd',
      '--system',
      '--gid',
      SERVER_ACCOUNT,
      '--no-create-home',
      '--shell',
      '/bin/false',
      SERVER_ACCOUNT,
    ],
    ['adduser', '-S', '-D', '-H', '-s', '/bin/false', SERVER_ACCOUNT],
  ];
  for (const [file, ...args] of attempts) {
    await run(file, args, { timeoutMs: ACCOUNT_TIMEOUT_MS });
    const created = await findAccount();
    if (created !== undefined) return created;
  }
  throw new StartupError(
    `PostgreSQL does not run as root, and a user "${SERVER_ACCOUNT}" to run it as could not be created: ` +
      'start the service as another user than root, or set DATABASE_URL to a PostgreSQL that is running.',
  );
}

async function findAccount(): Promise<Account | undefined> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map((which) => run('id', [which, SERVER_ACCOUNT], { timeoutMs: ACCOUNT_TIMEOUT_MS })),
  );
  if (uid?.code !== 0 || gid?.code !== 0) return undefined;
  return { uid: Number(uid.output), gid: Number(gid.output) };
}

/**
 * PostgreSQL asks the system for the name of the user it runs as, and ends when there is none: a container that is run
 * with any uid (`docker run -u 54321`, OpenShift) has none.
 */
export function requireName(): undefined {
  try {
    userInfo();
  } catch {
    throw new StartupError(
      `The embedded PostgreSQL does not run as a user without a name (uid ${process.getuid?.()} is not in /etc/passwd): ` +
        'run the service as a user that is there, or set DATABASE_URL to a PostgreSQL that is running.',
    );
  }
}

/**
 * Whether the account can enter this folder and write there. It is asked of the system, as that account: mode bits
 * alone would miss access lists, read-only mounts and file systems that map users.
 */
export function canUse(folder: string, account: Account | undefined): Promise<boolean> {
  return succeeds('cd -- "$1" && test -w .', folder, account);
}

/** Whether the account can at least enter this folder. */
export function canEnter(folder: string, account: Account | undefined): Promise<boolean> {
  return succeeds('cd -- "$1"', folder, account);
}

async function succeeds(script: string, folder: string, account: Account | undefined): Promise<boolean> {
  if (process.platform === 'win32') return true;
  const options = { account, timeoutMs: ACCOUNT_TIMEOUT_MS };
  const outcome = await run('/bin/sh', ['-c', script, 'sh', folder], options);
  return outcome.code === 0;
}

/** The code of a failed system call (`EACCES`), or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
