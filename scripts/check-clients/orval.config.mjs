const input = './generated/openapi.json';

export default {
  fetch: {
    input,
    output: { target: './generated/orval/client.ts', client: 'fetch', baseUrl: process.env.BASE_URL },
  },
  zod: { input, output: { target: './generated/orval/zod.ts', client: 'zod' } },
};
