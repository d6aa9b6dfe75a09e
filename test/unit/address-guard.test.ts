import { expect, test } from 'vitest';

import { isAllowedAddress, NOT_PUBLIC, readEndpointUrl } from '../../src/outbound/address-guard.ts';
import { DISGUISED_HOSTS, WRONG_URLS } from '../support/disguised-addresses.ts';

const STRICT = { insecure: false };
const INSECURE = { insecure: true };

test(`${DISGUISED_HOSTS.length} disguised hosts are refused, with and without https`, () => {
  expect(new Set(DISGUISED_HOSTS).size).toBeGreaterThanOrEqual(80);
  const passed = DISGUISED_HOSTS.filter((host) => 'url' in readEndpointUrl(`https://${host}/hooks`, STRICT));
  expect(passed).toEqual([]);
});

test.each(WRONG_URLS)('%s is no endpoint', (url) => {
  expect(readEndpointUrl(url, STRICT)).toEqual({ fault: expect.any(String) });
});

test.each([
  ['https://shop.example', 'https://shop.example/'],
  ['https://shop.example:443/hooks?token=1', 'https://shop.example/hooks?token=1'],
  ['HTTPS://Shop.Example./hooks', 'https://shop.example/hooks'],
  ['https://bücher.example/', 'https://xn--bcher-kva.example/'],
  ['https://8.8.8.8/', 'https://8.8.8.8/'],
  ['https://[2606:4700::1111]/', 'https://[2606:4700::1111]/'],
])('%s is taken as %s', (text, href) => {
  const result = readEndpointUrl(text, STRICT);
  expect('url' in result && result.url.href).toBe(href);
});

test('the neighbours of every special network are public, so no rule is wider than its network', () => {
  const neighbours = `
    1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
    172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0
    198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
    2000::1 2001:200::1 2001:db7::1 2001:db9::1 2003::1 3ffe::1`
    .trim()
    .split(/\s+/);
  expect(neighbours.filter((address) => !isAllowedAddress(address, STRICT))).toEqual([]);
});

test.each(['', 'x', '127.1', '0x7f.1', '1.2.3', 'localhost', '8.8.8.8 ', '[2606:4700::1111]'])(
  'a resolver that answers "%s" answers no address',
  (text) => {
    expect(isAllowedAddress(text, STRICT)).toBe(false);
    expect(isAllowedAddress(text, INSECURE)).toBe(false);
  },
);

test('insecure rules allow http, ports, loopback and private networks, and still no metadata of clouds', () => {
  const allowed = ['http://localhost:9000/', 'http://127.0.0.1:1/', 'http://10.1.2.3/', 'https://[::1]:9/'];
  const refused = [
    'http://169.254.169.254/',
    'http://[fe80::1]/',
    'http://0.0.0.0:80/',
    'http://224.0.0.1/',
    'ftp://localhost/',
    'http://user@localhost/',
  ];
  const isTaken = (url: string) => 'url' in readEndpointUrl(url, INSECURE);
  expect(allowed.filter((url) => !isTaken(url))).toEqual([]);
  expect(refused.filter(isTaken)).toEqual([]);
  expect(readEndpointUrl('http://169.254.169.254/', INSECURE)).toEqual({ fault: NOT_PUBLIC });
});
