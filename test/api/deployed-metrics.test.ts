import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { useTestService } from '../support/service.ts';

const DEPLOY = new URL('../../deploy/', import.meta.url);
const ALERTS = new URL('prometheus/alerts.yml', DEPLOY);
const DASHBOARD = new URL('grafana/dashboards/orders-inventory.json', DEPLOY);

/** `up` is Prometheus' own. */
const OWN = new Set(['up']);

/** The metrics and labels that an expression names: words before `{`, `[` or an operator, and words before `=`. */
function namesIn(expression: string): { metrics: string[]; labels: string[] } {
  const selectors = [...expression.matchAll(/\b([a-z_]+)(?:\{([^}]*)\})?(?=[[){\s]|$)/g)];
  return {
    metrics: selectors.map(([, name = '']) => name).filter((name) => name.includes('_') || OWN.has(name)),
    labels: [...expression.matchAll(/\b([a-z]+)=~?"/g)].map(([, label = '']) => label),
  };
}

function expressionsOfAlerts(): string[] {
  const text = readFileSync(ALERTS, 'utf8')
    .replaceAll(/\|\n\s+/g, '')
    .replaceAll(/\(\n\s+/g, '(');
  return [...text.matchAll(/expr: (.+)/g)].map(([, expression = '']) => expression);
}

function expressionsOfDashboard(): string[] {
  const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

const FUNCTIONS = new Set(['histogram_quantile', 'min_over_time', 'rate_interval']);

test('every metric and label of the alerts and the dashboard is one that the service exposes', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 1 });
  await service.call('POST', '/orders', { product_id: id, quantity: 1 });
  const { text } = await service.call('GET', '/metrics');
  const exposed = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
  const isExposed = (name: string) =>
    OWN.has(name) || exposed.has(name) || exposed.has(name.replace(/_(?:bucket|sum|count)$/, ''));

  const expressions = [...expressionsOfAlerts(), ...expressionsOfDashboard()];
  expect(expressions.length).toBeGreaterThan(40);
  const named = expressions.map(namesIn);
  const metrics = [...new Set(named.flatMap((names) => names.metrics))].filter(
    (name) => !FUNCTIONS.has(name),
  );
  expect(metrics.length).toBeGreaterThan(20);
  expect(metrics.filter((name) => !isExposed(name))).toEqual([]);
  expect([...new Set(named.flatMap(({ labels }) => labels))].toSorted()).toEqual([
    'job',
    'method',
    'route',
    'status',
  ]);
  // Prometheus gives every series the labels job and instance, and would rename ours.
  expect(text.match(/^[a-z_]+\{[^}]*\b(?:job|instance)="/gm)).toBeNull();
});

const hasPromtool = (() => {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

test('the alerts fire when they should, by their own tests', ({ skip }) => {
  skip(!hasPromtool, 'promtool is not installed (Debian: prometheus)');
  const rules = new URL('prometheus/alerts.test.yml', DEPLOY);
  const report = execFileSync('promtool', ['test', 'rules', rules.pathname], { encoding: 'utf8' });
  expect(report).toContain('SUCCESS');
});

test('the metrics page is what Prometheus reads without a complaint', async ({ skip }) => {
  skip(!hasPromtool, 'promtool is not installed (Debian: prometheus)');
  const service = await useTestService();
  const { text } = await service.call('GET', '/metrics');
  const own = text
    .split('\n')
    .filter((line) => !/^(?:# \w+ )?(?:nodejs|process)_/.test(line))
    .join('\n');
  expect(() => execFileSync('promtool', ['check', 'metrics'], { input: own, stdio: 'pipe' })).not.toThrow();
});
