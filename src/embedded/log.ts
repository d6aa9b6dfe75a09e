import { copyFile, stat, truncate } from 'node:fs/promises';

const LOG_LIMIT_BYTES = 1_048_576;

/**
 * Keeps the log below its bound: copies it to a second file and empties it. PostgreSQL has it open for appending, so it
 * continues at the new end.
 */
export async function boundLog(log: string): Promise<void> {
  const found = await stat(log).catch(() => undefined);
  if (found === undefined || found.size <= LOG_LIMIT_BYTES) return;
  await copyFile(log, `${log}.1`).catch(() => undefined);
  await truncate(log).catch(() => undefined);
}
