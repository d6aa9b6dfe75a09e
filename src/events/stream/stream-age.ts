/** How long a stream lives. It also ends one whose client has long gone behind a proxy that did not say so. */
export const STREAM_MAX_AGE_MS = 60 * 60 * 1000;
