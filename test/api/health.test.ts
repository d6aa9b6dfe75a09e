import { afterAll, beforeAll, expect, test } from 'vitest';

import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

test('/health answers exactly the two members of the contract', async () => {
  const { status, text } = await service.call('GET', '/health');
  expect(status).toBe(200);
  expect(text).toBe('{"status":"healthy","service":"orders-inventory"}');
});
