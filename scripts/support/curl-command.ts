import type { SignedWebhook } from './sign-webhook.ts';

/** The command that sends exactly these bytes, for a POSIX shell. */
export function toCurlCommand(url: string, { body, headers }: SignedWebhook): string {
  const headerLines = Object.entries(headers).map(([name, value]) => `  -H ${quote(`${name}: ${value}`)} \\`);
  // --data-raw, because --data reads a file when its value begins with @.
  return [`curl ${quote(url)} \\`, ...headerLines, `  --data-raw ${quote(body)}`, ''].join('\n');
}

/** Nothing is special between single quotes but the single quote itself. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
