import { AppError, unavailable } from '../lib/errors.ts';

/** COMMIT was answered with another tag: the transaction had failed before, and nothing of it is stored. */
export class TransactionRolledBackError extends Error {
  override readonly name = 'TransactionRolledBackError';

  constructor(tag: string) {
    super(`COMMIT answered ${tag}: the transaction was rolled back`);
  }
}

/** What identifies a transaction. An id is given out again after a crash in which it was lost. */
export interface TransactionName {
  id: string;
  /** Which run of which server (`serverRunSql` in driver/server-run.ts): ids mean something within one run only. */
  serverRun: string | null;
}

/** The connection was lost during COMMIT: whether the transaction is stored is not known yet. */
export class CommitUncertainError extends Error {
  override readonly name = 'CommitUncertainError';
  readonly transaction: TransactionName;

  constructor(transaction: TransactionName, cause: unknown) {
    super('the connection was lost during COMMIT', { cause });
    this.transaction = transaction;
  }
}

/**
 * No connection could be opened. PostgreSQL and poolers have a dozen reasons for that, with codes of any class, and none
 * of them is the fault of the work that wanted one.
 */
export class NoConnectionError extends Error {
  override readonly name = 'NoConnectionError';

  constructor(cause: unknown) {
    // Where a name has several addresses, each has its own reason.
    const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
    super(textOf(first, 'message') || 'no connection', { cause });
  }
}

/**
 * Another transaction stored the same key or event after this one had looked for it. Nothing is stored; run again, the
 * work finds it.
 */
export class LostRaceError extends Error {
  override readonly name = 'LostRaceError';

  constructor(cause: unknown) {
    super('another transaction has just stored the same row', { cause });
  }
}

/** What the violation of a constraint, by its name, means to the feature whose constraint it is. */
export type ConstraintErrors = Readonly<Record<string, (violation: unknown) => Error>>;

/** Lets `statement` fail with what a violated constraint means, and with any other error as it is. */
export async function explainViolations<T>(meanings: ConstraintErrors, statement: Promise<T>): Promise<T> {
  try {
    return await statement;
  } catch (error) {
    throw meanings[textOf(error, 'constraint')]?.(error) ?? error;
  }
}

/** As many calls of one kind wait for a connection as may (`ConnectionOptions.maxWaiting`). */
export class ShareFullError extends Error {
  override readonly name = 'ShareFullError';

  constructor() {
    super('too many calls wait for the connections of their kind');
  }
}

const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);

/** What pg and pg-pool say in words alone, without a code. */
const CONNECTION_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered a connection error|was closed)|Cannot use a pool after calling end|timeout expired)/;

/** pg has waited for an answer for as long as a statement may take. */
export function isReadTimeout(error: unknown): boolean {
  return textOf(error, 'message') === 'Query read timeout';
}

/** The server takes no writes. After a failover, the connections that are left are those to the former primary. */
export function isReadOnly(error: unknown): boolean {
  return textOf(error, 'code') === '25006';
}

/** Class 08 (connection exception), shutdowns and crashes of the server, and timeouts that end the connection. */
const CONNECTION_STATES = /^(08...|57P0[1-5]|25P0[34])$/;

/** SQLSTATEs under which the database cannot take the work now, though the work may be fine. */
const UNAVAILABLE_STATES = new Set([
  '25006', // read-only: a standby, or a primary that was demoted
  '53000',
  '53100', // disk full
  '53200', // out of memory
  '53300', // too many connections
  '55P03', // lock_timeout
  '57014', // statement_timeout
  '42501', // a right is missing: for the operator to grant, and no fault of the caller
]);

const RETRYABLE_STATES = new Set(['40001', '40P01']);

/** Values that validation should have refused; a net under it, so that input is never answered with a 5xx. */
const BAD_VALUE_STATES = new Set(['22001', '22003', '22007', '22008', '22021', '22P02', '22P05']);

function textOf(error: unknown, member: 'code' | 'constraint' | 'message'): string {
  if (typeof error !== 'object' || error === null || !(member in error)) return '';
  const value = (error as Record<string, unknown>)[member];
  return typeof value === 'string' ? value : '';
}

export function sqlStateOf(error: unknown): string {
  return textOf(error, 'code');
}

/** The connection is gone, or was never made; the statement may or may not have run. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof NoConnectionError) return true;
  const code = textOf(error, 'code');
  if (NETWORK_CODES.has(code) || CONNECTION_STATES.test(code)) return true;
  if (error instanceof AggregateError) return error.errors.some(isConnectionLoss);
  return CONNECTION_MESSAGES.test(textOf(error, 'message'));
}

/** A deadlock, a serialization failure or a lost race: nothing is stored, and the same work may succeed when run again. */
export function isRetryable(error: unknown): boolean {
  return (
    RETRYABLE_STATES.has(textOf(error, 'code')) ||
    error instanceof TransactionRolledBackError ||
    error instanceof LostRaceError
  );
}

/** A lock was not granted within lock_timeout. */
export function isLockTimeout(error: unknown): boolean {
  return textOf(error, 'code') === '55P03';
}

/** Whether the failure of a batch may lie in one of its calls, or in what one waits for: not so where the database is away. */
export function mayBeOneCalls(error: unknown): boolean {
  return isLockTimeout(error) || toAppError(error)?.status !== 503;
}

/** The answer to a caller for a failure of the database, or undefined when it is a fault of ours. */
export function toAppError(error: unknown): AppError | undefined {
  const code = textOf(error, 'code');
  if (error instanceof ShareFullError) return unavailable('Too many lists are asked for, try again', error);
  if (isConnectionLoss(error)) return unavailable('The database cannot be reached, try again', error);
  if (error instanceof CommitUncertainError) {
    return unavailable('It is not known whether the change is stored; ask again with the same key', error);
  }
  if (UNAVAILABLE_STATES.has(code) || isRetryable(error)) {
    return unavailable('The database is busy, try again', error);
  }
  if (BAD_VALUE_STATES.has(code)) {
    return new AppError('validation_failed', 'A value cannot be stored', {
      fields: { errors: [] },
      cause: error,
    });
  }
  return undefined;
}
