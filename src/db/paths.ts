import { fileURLToPath } from 'node:url';

/** The migrations stand beside src/ and dist/, so the same path holds in both. */
export const migrationsDir = fileURLToPath(new URL('../../migrations', import.meta.url));
