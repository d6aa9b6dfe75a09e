import { createServer, type IncomingMessage } from 'node:http';

import { Webhook } from 'standardwebhooks';

import { ClosingStack } from '../src/lib/shutdown.ts';
import { readArguments, runScript, ScriptFailure, UsageError } from './support/arguments.ts';
import { ENVIRONMENT_USAGE, readEnvironment } from './support/environment.ts';
import { closeAfter } from './support/interrupt.ts';
import { createServiceClient, expectStatus, type ServiceClient } from './support/service-client.ts';
import { paint } from './support/terminal.ts';

const USAGE = `Receives webhooks, verifies their signatures and prints the events as they come.

  npm run listen                          creates a webhook endpoint for itself, and deletes it at the end
  npm run listen -- --secret whsec_…      for an endpoint that is there; its URL is http://127.0.0.1:<port>/

  --port <number>     where it listens, default 9000; 0 takes any free port
  --secret <secret>   of the endpoint; none is created then
  --types <a,b>       only these types, default all
  --answer <status>   what it answers, default 204: 500 shows retries, 410 disables the endpoint

The service must run with ALLOW_INSECURE_ENDPOINTS=true, because the address is one of loopback.

${ENVIRONMENT_USAGE}
Exit code: 130 after Ctrl-C, 1 when it cannot listen or create the endpoint, 2 for wrong arguments.
`;

const BODY_LIMIT_BYTES = 1024 * 1024;

await runScript(USAGE, async (args) => {
  const wanted = readWanted(args);
  const client = createServiceClient(readEnvironment());
  const opened = new ClosingStack();
  return closeAfter(opened, async () => {
    let { secret } = wanted;
    const server = createServer((request, response) => {
      void receive(request, secret ?? '').then((isGenuine) =>
        response.writeHead(isGenuine ? wanted.answer : 403).end(),
      );
    });
    await new Promise<void>((listening, failed) => {
      server.once('error', (error) => failed(new ScriptFailure(`Cannot listen: ${error.message}.`)));
      server.listen(wanted.port, '127.0.0.1', () => listening());
    });
    opened.add(async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    });
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : wanted.port}/`;
    if (secret === undefined) {
      const endpoint = await createEndpoint(client, url, wanted.types);
      opened.add(() => client.call('DELETE', `/webhook-endpoints/${endpoint.id}`));
      ({ secret } = endpoint);
      process.stdout.write(`Webhook endpoint ${endpoint.id} sends to ${url}. Ctrl-C deletes it.\n`);
    } else {
      process.stdout.write(`Listening on ${url}\n`);
    }
    // Until Ctrl-C.
    return new Promise<number>(() => undefined);
  });
});

interface Wanted {
  port: number;
  secret: string | undefined;
  types: string[] | undefined;
  answer: number;
}

function readWanted(args: string[]): Wanted {
  const { port, secret, types, answer } = readArguments(args, {
    port: { type: 'string', default: '9000' },
    secret: { type: 'string' },
    types: { type: 'string' },
    answer: { type: 'string', default: '204' },
  });
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw new UsageError('--port must be a port number');
  if (!/^[2-5]\d\d$/.test(answer)) throw new UsageError('--answer must be a status from 200 to 599');
  return { port: Number(port), secret, types: types?.split(','), answer: Number(answer) };
}

async function createEndpoint(client: ServiceClient, url: string, types: string[] | undefined) {
  const body = { url, description: 'npm run listen', ...(types && { types }) };
  const answer = await client.call<{ id: number; secret: string }>('POST', '/webhook-endpoints', { body });
  if (answer.status === 422) {
    throw new ScriptFailure(
      `${answer.text}\nStart the service with ALLOW_INSECURE_ENDPOINTS=true, and check --types.`,
    );
  }
  return expectStatus(answer, 201).body;
}

/** Prints a request. @returns whether its signature is right */
async function receive(request: IncomingMessage, secret: string): Promise<boolean> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += String(chunk);
    if (body.length > BODY_LIMIT_BYTES) return false;
  }
  try {
    // Each webhook header comes once.
    const event = new Webhook(secret).verify(body, request.headers as Record<string, string>);
    const { type, aggregate_type, aggregate_id, version } = event as Record<string, unknown>;
    const subject = `${String(aggregate_type)} ${String(aggregate_id)} version ${String(version)}`;
    process.stdout.write(`${paint('green', String(type))}  ${subject}\n${JSON.stringify(event)}\n`);
    return true;
  } catch (error) {
    process.stdout.write(`${paint('red', 'refused')}  ${(error as Error).message}\n`);
    return false;
  }
}
