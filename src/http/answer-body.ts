/**
 * Whether an answer is a stream: it begins when Fastify's `onSend` hooks run and ends later. Text and bytes leave in one
 * piece.
 */
export function isStream(payload: unknown): boolean {
  return typeof payload === 'object' && payload !== null && !(payload instanceof Uint8Array);
}
