import { createHash } from 'node:crypto';

/**
 * SQL text → statement name. The texts of hot statements come from code alone, so they are few; the bound only makes
 * sure that a mistake there cannot fill the memory.
 */
const STATEMENT_NAMES_MAX = 500;
const statementNames = new Map<string, string>();

/** @returns undefined past the bound: such a statement is parsed each time */
export function statementName(sql: string): string | undefined {
  let name = statementNames.get(sql);
  if (name === undefined && statementNames.size < STATEMENT_NAMES_MAX) {
    name = createHash('sha256').update(sql).digest('base64url').slice(0, 22);
    statementNames.set(sql, name);
  }
  return name;
}
