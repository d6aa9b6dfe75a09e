import http from 'node:http';

/*
 * A balancer as small as one can be: it asks each instance for /readyz, sends calls by turns to those that are ready,
 * and tries no call twice, so that every request that an instance fails is seen.
 */
const CHECK_MS = 100;

/** Headers that are about one connection, and not about the message (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'trailer']);

export interface Balancer {
  url: string;
  isReady(instance: number): boolean;
  close(): Promise<void>;
}

export async function startBalancer(instances: readonly string[]): Promise<Balancer> {
  const ready = instances.map(() => false);
  const agent = new http.Agent({ keepAlive: true });
  const check = async () => {
    await Promise.all(instances.map(async (url, index) => (ready[index] = await isReady(url))));
  };
  await check();
  // A check that hangs would leave an instance in, so the next one is not kept waiting for it.
  const timer = setInterval(() => void check(), CHECK_MS);
  let turn = 0;
  const server = http.createServer((request, response) => {
    turn += 1;
    const inTurn = instances.map((_, index) => (turn + index) % instances.length);
    const chosen = inTurn.find((index) => ready[index]);
    if (chosen === undefined) return refuse(response, 'no instance is ready');
    return forward(agent, instances[chosen] as string, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    isReady: (instance) => ready[instance] === true,
    async close() {
      clearInterval(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
    },
  };
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

function forward(
  agent: http.Agent,
  instance: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const { method = 'GET', url = '/' } = request;
  const options = { agent, method, headers: endToEnd(request.headers) };
  const call = http.request(instance + url, options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
    answer.pipe(response);
  });
  call.on('error', (error) => {
    if (response.headersSent) response.destroy();
    else refuse(response, error.message);
  });
  request.pipe(call);
}

function endToEnd(headers: http.IncomingHttpHeaders): http.IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}

function refuse(response: http.ServerResponse, reason: string): void {
  response.writeHead(502, { 'content-type': 'text/plain' }).end(reason);
}
