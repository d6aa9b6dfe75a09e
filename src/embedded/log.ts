import { copyFile, stat, truncate } from 'node:fs/promises';

const LOG_LIMIT_BYTES = 1_048_576;

/**
 * Keeps the log below its bound, with what was in it in a second file. PostgreSQL has it open for appending, so it goes
 * on at the new end of a file that was emptied.
 */
export async function boundLog(log: string): Promise<void> {
  const found = await stat(log).catch(() => undefined);
  if (found === undefined || found.size <= LOG_LIMIT_BYTES) return;
  await copyFile(log, `${log}.1`).catch(() => undefined);
  await truncate(log).catch(() => undefined);
}
