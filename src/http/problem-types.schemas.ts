import { Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { problems } from '../lib/errors.ts';
import { problemGuide } from '../lib/problem-guide.ts';
import { problemExample } from './problem.schemas.ts';
import { ref } from './schemas.ts';

const tags = ['General'];

const { means, remedy, members } = problemGuide.insufficient_stock;

export const ProblemTypeSchema = Type.Object(
  {
    type: Type.String({ description: 'As the problem documents have it' }),
    code: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    means: Type.String({ description: 'What has happened' }),
    remedy: Type.String({ description: 'What to do about it' }),
    members: Type.Record(Type.String(), Type.String(), {
      description: 'The members that only this problem has',
    }),
    example: Type.Object({}, { additionalProperties: true, description: 'A problem document of this kind' }),
  },
  {
    $id: 'ProblemType',
    examples: [
      {
        type: '/problems/insufficient_stock',
        code: 'insufficient_stock',
        ...problems.insufficient_stock,
        means,
        remedy,
        members,
        example: problemExample('insufficient_stock'),
      },
    ],
  },
);

const Page = Type.String({ examples: ['<!doctype html>…'] });
const html = { 'text/html': { schema: Page } };

export const listProblemTypes = {
  operationId: 'listProblemTypes',
  summary: 'List every code of a refusal',
  description: 'With what it means, what to do, and an example. A browser gets a page.',
  tags,
  response: {
    200: {
      description: 'Every code',
      content: { 'application/json': { schema: Type.Array(ref(ProblemTypeSchema)) }, ...html },
    },
  },
  problems: [503],
} satisfies FastifySchema;

export const getProblemType = {
  operationId: 'getProblemType',
  summary: 'Explain one code of a refusal',
  description: 'The `type` of a problem document leads here. A browser gets a page.',
  tags,
  params: Type.Object({ code: Type.String({ examples: ['insufficient_stock'] }) }),
  response: {
    200: {
      description: 'The code, explained',
      content: { 'application/json': { schema: ref(ProblemTypeSchema) }, ...html },
    },
  },
  problems: ['not_found', 503],
} satisfies FastifySchema;
