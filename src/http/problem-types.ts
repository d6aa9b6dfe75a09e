import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { AppError, isProblemCode, type ProblemCode, problems } from '../lib/errors.ts';
import { problemGuide } from '../lib/problem-guide.ts';
import { escapeHtml, prefersHtml, proseToHtml, sendHtml, wayToRoot } from './page-layout.ts';
import { problemCodes, problemExample } from './problem.schemas.ts';
import { routeConfig } from './route-config.ts';
import * as schemas from './problem-types.schemas.ts';

/** What each code means and what to do about it: pages for people, JSON for programs. */
export const problemTypeRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/problems',
    { schema: schemas.listProblemTypes, config: routeConfig('public', 'exempt') },
    async (request, reply) => {
      reply.header('vary', 'accept');
      if (!prefersHtml(request)) return reply.send(problemCodes.map(describe));
      return sendHtml(request, reply, { title: 'Problems', current: 'problems', body: listPage(request) });
    },
  );

  app.get(
    '/problems/:code',
    { schema: schemas.getProblemType, config: routeConfig('public', 'exempt') },
    async (request, reply) => {
      const { code } = request.params;
      if (!isProblemCode(code)) throw new AppError('not_found', 'There is no problem with this code');
      reply.header('vary', 'accept');
      if (!prefersHtml(request)) return reply.send(describe(code));
      return sendHtml(request, reply, { title: problems[code].title, body: problemPage(code, request) });
    },
  );
};

function describe(code: ProblemCode) {
  const { means, remedy, members = {} } = problemGuide[code];
  return {
    type: `/problems/${code}`,
    code,
    ...problems[code],
    means,
    remedy,
    members,
    example: problemExample(code),
  };
}

function listPage(request: FastifyRequest): string {
  const root = wayToRoot(request);
  const rows = problemCodes.map((code) => {
    const { status, title } = problems[code];
    return `<tr><td>${status}</td><td><a href="${root}problems/${code}">${escapeHtml(title)}</a><br><code>${code}</code></td></tr>`;
  });
  return `<main class="page">
      <h1>Problems</h1>
      <p>Every refusal is a problem document (RFC 9457) with one of these codes. A program goes by <code>code</code>; <code>detail</code> is for people.</p>
      <table>
        <thead><tr><th>Status</th><th>Problem</th></tr></thead>
        <tbody>${rows.join('')}</tbody>
      </table>
    </main>`;
}

function problemPage(code: ProblemCode, request: FastifyRequest): string {
  const { title, status, means, remedy, members, example } = describe(code);
  const described = Object.entries(members).map(
    ([name, text]) => `<dt><code>${escapeHtml(name)}</code></dt><dd>${proseToHtml(text)}</dd>`,
  );
  return `<main class="page">
      <a href="${wayToRoot(request)}problems">All problems</a>
      <h1>${escapeHtml(title)}</h1>
      <p class="status">Status ${status} · <code>${code}</code></p>
      <h2>What it means</h2>
      <p>${proseToHtml(means)}</p>
      <h2>What to do</h2>
      <p>${proseToHtml(remedy)}</p>
      ${described.length === 0 ? '' : `<h2>Its own members</h2><dl>${described.join('')}</dl>`}
      <h2>Example</h2>
      <pre><code>${escapeHtml(JSON.stringify(example, null, 2))}</code></pre>
    </main>`;
}
