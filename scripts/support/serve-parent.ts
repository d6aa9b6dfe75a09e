import type { FastifyInstance } from 'fastify';

/** For a server that `Children.serve` starts: tells its address to the script, and ends with it. */
export async function serveParent(app: FastifyInstance): Promise<void> {
  process.on('disconnect', () => process.exit());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  process.send?.(url);
}
