import { expect } from 'vitest';

import type { ProblemCode } from '../../src/lib/errors.ts';
import type { Answer } from './service.ts';

/*
 * Matchers for refusals. A test file imports this one for its effect:
 *
 *   expect(answer).toBeProblem(404, 'product_not_found', 'Product not found');
 *   expect(answer).toHaveFaults('body/price', 'body/stock');
 */

declare module 'vitest' {
  interface Matchers<T> {
    /** A complete problem document of this status and code (and detail), that shows nothing of what is inside. */
    toBeProblem(status: number, code: ProblemCode, detail?: string): T;
    /** 422 whose faults are at exactly these paths, each with a message that the detail repeats, and a fix. */
    toHaveFaults(...paths: string[]): T;
  }
}

/** A stack, SQL, a name of a constraint or a path of a file: what no answer may show. */
const INTERNALS =
  /\bat \S+ \(|node_modules|\/(src|dist|test|work|home)\/|\.(ts|js):\d|\b(select|insert|update|delete) .*\b(from|into|set)\b|_(pkey|fkey|key|idx)\b|SQLSTATE/i;

function faultsOfProblem(answer: Answer, status: number, code: ProblemCode, detail?: string): string[] {
  const { body = {}, headers, text } = answer;
  const faults: string[] = [];
  const same = (what: string, found: unknown, wanted: unknown) => {
    if (found !== wanted) faults.push(`${what} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  };
  same('status', answer.status, status);
  same('content type', String(headers['content-type']).split(';')[0], 'application/problem+json');
  same('body.status', body.status, status);
  same('code', body.code, code);
  same('type', body.type, `/problems/${code}`);
  same('request_id', body.request_id, headers['x-request-id']);
  for (const member of ['title', 'detail', 'request_id']) {
    if (typeof body[member] !== 'string' || body[member] === '') faults.push(`${member} is not a text`);
  }
  if (detail !== undefined) same('detail', body.detail, detail);
  const shown = INTERNALS.exec(text)?.[0];
  if (shown !== undefined) faults.push(`it shows ${shown}`);
  return faults;
}

function faultsOfValidation(answer: Answer, paths: readonly string[]): string[] {
  const faults = faultsOfProblem(answer, 422, 'validation_failed');
  const errors: { path: string; message: string; fix: string }[] = answer.body?.errors ?? [];
  const found = [...new Set(errors.map(({ path }) => path))].toSorted().join(' ');
  const wanted = paths.toSorted().join(' ');
  if (found !== wanted) faults.push(`faults are at "${found}", not at "${wanted}"`);
  for (const { path, message } of errors.slice(0, 10)) {
    if (message === '' || !answer.body.detail.includes(`${path} ${message}`)) {
      faults.push(`the detail does not say what is wrong with ${path}`);
    }
  }
  for (const { path, fix } of errors) {
    if (!/^[A-Z].+\.$/.test(fix ?? ''))
      faults.push(`no sentence says what would be right for ${path}: ${fix}`);
  }
  return faults;
}

function verdict(answer: Answer, faults: readonly string[]) {
  return { pass: faults.length === 0, message: () => `${faults.join('\n')}\n\nThe answer: ${answer.text}` };
}

expect.extend({
  toBeProblem(answer: Answer, status: number, code: ProblemCode, detail?: string) {
    return verdict(answer, faultsOfProblem(answer, status, code, detail));
  },
  toHaveFaults(answer: Answer, ...paths: string[]) {
    return verdict(answer, faultsOfValidation(answer, paths));
  },
});
