import { levels } from 'pino';

/** What is logged about one request, once its answer is sent. */
export interface RequestEntry {
  readonly requestId: string;
  readonly actor: string;
  readonly method: string;
  /** As it came, with its query, which is not logged: it may hold a customer's e-mail address. */
  readonly url: string;
  readonly status: number;
  readonly durationMs: number;
  /** The client had gone before its answer was there. */
  readonly aborted: boolean;
}

/** Longer than any path of ours with the longest ids; what is longer was made to fill the log. */
const PATH_CHARS = 256;

/** The path of a URL: without its query, and without the host that a proxy's form of it has. */
export function pathOf(url: string): string {
  const begin = url.startsWith('/') ? 0 : startOfPath(url);
  const query = url.indexOf('?', begin);
  const end = query === -1 ? url.length : query;
  return end - begin <= PATH_CHARS ? url.slice(begin, end) : `${url.slice(begin, begin + PATH_CHARS - 1)}…`;
}

function startOfPath(url: string): number {
  const host = url.indexOf('://');
  if (host === -1) return 0;
  const slash = url.slice(host + 3).search(/[/?]/);
  return slash === -1 ? url.length : host + 3 + slash;
}

const INFO = levels.values['info'];

/**
 * The line that the logger would have written, put together as text: the logger would take it apart field by field,
 * which cost as much as routing the request. Only the path and the actor hold what may need escaping.
 */
export function jsonLine(entry: RequestEntry): string {
  const { requestId, actor, method, url, status, durationMs, aborted } = entry;
  return (
    `{"level":${INFO},"time":${Date.now()},"request_id":"${requestId}","actor":${JSON.stringify(actor)},` +
    `"method":"${method}","path":${JSON.stringify(pathOf(url))},"status":${status},` +
    `"duration_ms":${Math.round(durationMs * 100) / 100},${aborted ? '"aborted":true,' : ''}"msg":"request"}\n`
  );
}

const GREEN = 32;
const CYAN = 36;
const YELLOW = 33;
const RED = 31;
const GREY = 90;
const COLOURS = [GREEN, GREEN, GREEN, CYAN, YELLOW, RED];

/** A short line for a person at a terminal: `22:08:43 POST /orders 201 6 ms BTBf4LRhayFa-2`. */
export function terminalLine(entry: RequestEntry, coloured: boolean): string {
  const { requestId, method, url, status, durationMs, aborted } = entry;
  const paint = (code: number, text: string) => (coloured ? `\u001B[${code}m${text}\u001B[39m` : text);
  // A terminal obeys some characters instead of showing them.
  const path = pathOf(url).replaceAll(/[^!-~…]/g, '?');
  const ms = `${durationMs < 10 ? Number(durationMs.toPrecision(1)) : Math.round(durationMs)} ms`;
  const parts = [
    paint(GREY, clockTime(new Date())),
    method,
    path,
    paint(COLOURS[Math.floor(status / 100)] ?? RED, String(status)),
    ms,
    ...(aborted ? [paint(YELLOW, 'aborted')] : []),
    paint(GREY, requestId),
  ];
  return `${parts.join(' ')}\n`;
}

/** The time of day where the terminal is, to the second. */
function clockTime(time: Date): string {
  return time.toTimeString().slice(0, 8);
}
