/** An answer repeats no more than this of any input: a small request must not make a large answer. */
export const REPEATED_CHARS = 64;

/** A caller's text, cut to the length that an answer may repeat. */
export function shorten(text: string): string {
  if (text.length <= REPEATED_CHARS) return text;
  // A cut may go through a pair of surrogates; half of one is no text.
  return `${text.slice(0, REPEATED_CHARS - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
