import { Agent, EnvHttpProxyAgent, fetch, getGlobalDispatcher, request, setGlobalDispatcher } from 'undici';
import { expect, onTestFinished, test } from 'vitest';

import { systemClock } from '../../src/lib/clock.ts';
import type { Resolve } from '../../src/outbound/guarded-connector.ts';
import { createSender, type Sender } from '../../src/outbound/sender.ts';
import { DISGUISED_HOSTS, LOOPBACK_HOSTS } from '../support/disguised-addresses.ts';
import { answerWith, useCanary, useReceiver } from '../support/receivers.ts';

const message = { id: 'evt', body: '{}', secrets: ['whsec_AAAA'], traceparent: null };

function useSender(resolve: Resolve, insecure = false): Sender {
  const rules = { insecure };
  const sender = createSender({ rules, resolve, clock: systemClock, connections: 4 });
  onTestFinished(() => sender.close());
  return sender;
}

/** What the system's resolver says about names that lead to this machine. */
const toLoopback: Resolve = async () => ['127.0.0.1'];

test(`none of ${DISGUISED_HOSTS.length} disguised hosts gets a connection from a send; without the guard, loopback ones do`, async () => {
  const canary = await useCanary();
  const sender = useSender(toLoopback);
  for (const host of DISGUISED_HOSTS) {
    for (const scheme of ['http', 'https']) {
      const sent = await sender.send({ ...message, url: `${scheme}://${host}:${canary.port}/hooks` });
      expect([host, sent.fault, sent.status]).toEqual([host, 'address_refused', null]);
    }
  }
  expect(canary.connections()).toBe(0);

  // The control: the same URLs by an agent without the guard.
  const unguarded = new Agent({ connect: { timeout: 500 } });
  onTestFinished(() => unguarded.destroy());
  for (const host of LOOPBACK_HOSTS) {
    await request(`http://${host}:${canary.port}/`, { dispatcher: unguarded }).then(
      ({ body }) => body.dump(),
      () => undefined,
    );
  }
  expect(canary.connections()).toBeGreaterThan(15);
});

test('DNS rebinding: a name that was public at its check, and leads to loopback at the send, gets no connection', async () => {
  const canary = await useCanary();
  const answers = [['93.184.216.34'], ['127.0.0.1'], ['93.184.216.34', '127.0.0.1'], ['::ffff:127.0.0.1']];
  let asked = 0;
  const rebinding: Resolve = async () => answers[asked++] ?? ['::1'];
  expect(await rebinding('shop.example')).toEqual(['93.184.216.34']);
  const sender = useSender(rebinding);
  const url = `http://shop.example:${canary.port}/`;
  for (let i = 0; i < 4; i++) expect((await sender.send({ ...message, url })).fault).toBe('address_refused');
  expect([asked, canary.connections()]).toEqual([5, 0]);
});

test('a name is resolved once for a connection, and the connection goes to that answer', async () => {
  const receiver = await useReceiver(answerWith(200));
  let asked = 0;
  // The second answer would be one that is refused.
  const sender = useSender(async () => (asked++ === 0 ? ['127.0.0.1'] : ['169.254.169.254']), true);
  const sent = await sender.send({ ...message, url: `http://shop.example:${receiver.port}/` });
  expect([sent.status, asked]).toEqual([200, 1]);
  expect(receiver.received[0]?.headers['host']).toBe(`shop.example:${receiver.port}`);
});

test('insecure rules still refuse the metadata of clouds, by address and by name', async () => {
  const sender = useSender(async () => ['169.254.169.254'], true);
  for (const host of ['169.254.169.254', '[fe80::1]', 'metadata.internal']) {
    expect((await sender.send({ ...message, url: `http://${host}/` })).fault).toBe('address_refused');
  }
});

test("proxies of the environment and of undici's global dispatcher are not used", async () => {
  const proxy = await useCanary();
  const receiver = await useReceiver(answerWith(200));
  const before = getGlobalDispatcher();
  const names = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];
  const saved = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) process.env[name] = `http://127.0.0.1:${proxy.port}`;
  process.env['NODE_USE_ENV_PROXY'] = '1';
  setGlobalDispatcher(new EnvHttpProxyAgent());
  onTestFinished(() => {
    setGlobalDispatcher(before);
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  const sent = await useSender(toLoopback, true).send({ ...message, url: receiver.url });
  expect([sent.status, proxy.connections()]).toEqual([200, 0]);
  // The control: the same URL by undici's own fetch.
  await fetch(receiver.url).catch(() => undefined);
  expect(proxy.connections()).toBeGreaterThan(0);
});
