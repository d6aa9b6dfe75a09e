import pg from 'pg';
import { describe, expect, test } from 'vitest';

import {
  CommitUncertainError,
  explainViolations,
  isConnectionLoss,
  isRetryable,
  LostRaceError,
  NoConnectionError,
  toAppError,
  TransactionRolledBackError,
} from '../../src/db/pg-errors.ts';
import { AppError } from '../../src/lib/errors.ts';

function databaseError(code: string, members: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError('secret detail of the server', 0, 'error'), { code, ...members });
}

const networkError = (code: string) => Object.assign(new Error(`connect ${code} 10.0.0.1:5432`), { code });

/** What pg and pg-pool say in words alone, as they are in their sources. */
const words = [
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'Query read timeout',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Cannot use a pool after calling end on the pool',
];
const network = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'];
const names = ['ENOTFOUND', 'EAI_AGAIN', 'ENOENT'];
const lostStates = [
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08P01',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '25P03',
  '25P04',
];
const busyStates = ['25006', '40001', '42501', '40P01', '53100', '53200', '53300', '55P03', '57014'];

describe('errors of the database that are 503 with Retry-After', () => {
  const cases: [string, Error][] = [
    ...words.map((text): [string, Error] => [text, new Error(text)]),
    ...[...network, ...names].map((code): [string, Error] => [code, networkError(code)]),
    ['every address refused', new AggregateError([networkError('ECONNREFUSED')], '')],
    ...[...lostStates, ...busyStates].map((code): [string, Error] => [code, databaseError(code)]),
    // At the door, any reason is one; the fault is not in what was asked for.
    ...['28P01', '3D000', '53300', '55000', '57P03'].map((code): [string, Error] => [
      `no connection: ${code}`,
      new NoConnectionError(databaseError(code)),
    ]),
    ['no connection to any address', new NoConnectionError(new AggregateError([networkError('EPERM')], ''))],
    [
      'COMMIT not answered',
      new CommitUncertainError({ id: '1', serverRun: null }, new Error('Connection terminated')),
    ],
    ['COMMIT answered ROLLBACK', new TransactionRolledBackError('ROLLBACK')],
  ];

  test.each(cases)('%s', (_name, error) => {
    const told = toAppError(error);
    expect(told).toMatchObject({
      code: 'service_unavailable',
      status: 503,
      headers: { 'retry-after': '1' },
      cause: error,
    });
    // What the server or the network said stays in the log.
    expect(told?.message).not.toContain(error.message || 'nothing');
  });
});

async function fail(error: unknown): Promise<never> {
  throw error;
}

test('a violated constraint is what its owner says it means; any other error stays as it is', async () => {
  const meanings = { products_sku_key: () => new AppError('duplicate_sku', 'taken') };
  const failing = (error: unknown) => explainViolations(meanings, fail(error));
  await expect(failing(databaseError('23505', { constraint: 'products_sku_key' }))).rejects.toThrow('taken');
  const others = [databaseError('23505', { constraint: 'products_pkey' }), databaseError('40001')];
  for (const error of others) await expect(failing(error)).rejects.toBe(error);
});

test('a value that cannot be stored is 422', () => {
  for (const code of ['22003', '22021', '22P02', '22P05']) {
    expect(toAppError(databaseError(code))).toMatchObject({ status: 422, code: 'validation_failed' });
  }
});

test.each([
  ['a broken CHECK', databaseError('23514', { constraint: 'products_reserved_within_on_hand' })],
  ['wrong SQL', databaseError('42601')],
  ['a bug of ours', new TypeError('x is undefined')],
  ['a string', 'Connection terminated'],
  ['nothing', undefined],
  ['null', null],
])('%s is no trouble of the database: it is a fault of ours, a 500', (_name, error) => {
  expect(toAppError(error)).toBeUndefined();
});

test('only deadlocks, serialization failures, lost races and a rolled back COMMIT are run again', () => {
  const retryable = ['40001', '40P01'].map((code) => databaseError(code));
  const ours = [new TransactionRolledBackError('ROLLBACK'), new LostRaceError(databaseError('23505'))];
  expect([...retryable, ...ours].every(isRetryable)).toBe(true);
  const others = [...lostStates, '55P03', '57014', '23505'].map((code) => databaseError(code));
  expect(others.some(isRetryable)).toBe(false);
});

test('a full disk, a lock timeout and a broken CHECK are no lost connections, so their COMMIT is not in doubt', () => {
  const errors = ['53100', '55P03', '57014', '23514', '40001'].map((code) => databaseError(code));
  expect(errors.some(isConnectionLoss)).toBe(false);
});
