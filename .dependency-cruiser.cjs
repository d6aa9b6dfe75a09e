/** Who may import whom. Each rule says what would break without it. */

const { readdirSync } = require('node:fs');
const { join } = require('node:path');

/** Every folder that is no ring is a feature, so that a new one cannot escape a rule. */
const feature = '^src/(?!(?:assets|db|embedded|http|lib)/)[^/]+/';

/** Features from the lowest to the highest: each imports those before it. A folder that is not listed stands above all. */
const layers = [['events', 'idempotency'], ['inventory'], ['products'], ['orders'], ['payments']];

const layerRules = layers.map((names, index) => ({
  name: `${names.join('-and-')}-import${names.length === 1 ? 's' : ''}-downwards`,
  comment:
    'What a lower feature needs of a higher one is handed to it in services.ts, as an interface that it declares.',
  severity: 'error',
  from: { path: `^src/(${names.join('|')})/` },
  to: {
    path: feature,
    pathNot: `^src/(${layers
      .slice(0, index + 1)
      .flat()
      .join('|')})/`,
  },
}));

const config = {
  forbidden: [
    ...layerRules,
    {
      name: 'tx-steps-open-no-transaction',
      comment:
        'A step takes the transaction of its caller. One that opened, retried or answered would commit half of the work, or do it twice.',
      severity: 'error',
      from: { path: '\\.tx\\.ts$' },
      to: {
        path: [
          '\\.(service|routes)\\.ts$',
          '^src/(db/(transaction|connect|database)\\.ts|http/|logger\\.ts)',
          'node_modules/(fastify|@fastify|pg|kysely)/',
          '^(node:)?(net|http|https|tls|dgram|dns)(/|$)',
        ],
      },
    },
    {
      name: 'no-cycles',
      comment: 'A cycle has no first file to read.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'nobody-imports-entry-points',
      comment: 'An entry point starts things when it is loaded.',
      severity: 'error',
      from: {},
      to: { path: ['^src/(server|worker|migrate)\\.ts$', '^scripts/[^/]+\\.ts$'] },
    },
    {
      name: 'the-product-stands-alone',
      comment: 'The image has neither scripts nor tests.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(scripts|test)/' },
    },
    {
      name: 'sql-lives-in-repositories',
      comment: 'Who looks for a statement looks in one place, and a pool is opened in one place.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(db|embedded)/|\\.repository\\.ts$' },
      to: { path: 'node_modules/(kysely|pg)/' },
    },
    {
      name: 'http-knows-no-shops',
      comment: 'What every request shares serves any feature; a key is of requests, too.',
      severity: 'error',
      from: { path: '^src/http/' },
      to: { path: feature, pathNot: '^src/idempotency/(key|fingerprint|context)\\.ts$' },
    },
    {
      name: 'routes-know-no-sql',
      comment: 'A route translates between HTTP and its service; SQL in it would escape the transaction.',
      severity: 'error',
      from: { path: '\\.(routes|schemas)\\.ts$' },
      to: { path: ['\\.repository\\.ts$', '^src/db/', 'node_modules/(kysely|pg)/'] },
    },
    {
      name: 'routes-know-services-by-type',
      comment: 'Services are passed in; a route that made one would make a second one.',
      severity: 'error',
      from: { path: '\\.routes\\.ts$' },
      to: { path: '\\.service\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'business-knows-no-http',
      comment: 'Services and repositories must serve a script as well as a request.',
      severity: 'error',
      from: {
        path: feature,
        pathNot: '\\.(routes|schemas)\\.ts$|-input\\.ts$|^src/inbound/providers?[./]',
      },
      to: { path: ['^src/http/', 'node_modules/(fastify|@fastify)/'] },
    },
    {
      name: 'repositories-call-no-service',
      comment: 'SQL is the end of the way, not the middle.',
      severity: 'error',
      from: { path: '\\.repository\\.ts$' },
      to: { path: '\\.service\\.ts$' },
    },
    {
      name: 'lib-stands-alone',
      comment: 'Tools that know nothing of shops.',
      severity: 'error',
      from: { path: '^src/lib/' },
      to: { path: ['^src/(?!lib/)', 'node_modules/(fastify|@fastify|pg|kysely)/'] },
    },
    {
      name: 'db-knows-only-lib',
      comment: 'The database layer knows nothing of shops.',
      severity: 'error',
      from: { path: '^src/db/' },
      to: { path: '^src/', pathNot: '^src/(db|lib)/' },
    },
    {
      name: 'embedded-knows-only-db-and-lib',
      comment:
        'It starts a server, which knows nothing of shops, and is loaded only where no other database is named.',
      severity: 'error',
      from: { path: '^src/embedded/' },
      to: { path: '^src/', pathNot: '^src/(embedded|db|lib)/' },
    },
    {
      name: 'embedded-is-loaded-when-needed',
      comment: 'The image has no embedded PostgreSQL.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/embedded/' },
      to: { path: '^src/embedded/', dependencyTypesNot: ['type-only', 'dynamic-import'] },
    },
    {
      name: 'pure-modules-do-no-io',
      comment: 'They are decided by their arguments alone, which is what their tests rely on.',
      severity: 'error',
      from: {
        path: [
          '^src/orders/order-state\\.ts$',
          '^src/orders/placing/decide-order\\.ts$',
          '^src/payments/payment-rules\\.ts$',
          '^src/payments/payment-exception\\.ts$',
          '^src/inbound/webhook-signature\\.ts$',
          '^src/inbound/inbox\\.ts$',
          '^src/outbound/(address-guard|delivery-rules)\\.ts$',
          '^src/inbound/providers/',
          '^src/idempotency/fingerprint\\.ts$',
          '^src/inventory/stock-book\\.ts$',
          '^src/lib/money\\.ts$',
          '^src/lib/cursor\\.ts$',
          '^src/lib/versions\\.ts$',
          '^src/lib/page\\.ts$',
          '^src/lib/instant\\.ts$',
        ],
      },
      to: {
        path: [
          '\\.(repository|service)\\.ts$',
          '^src/db/',
          'node_modules/(pg|kysely)/',
          '^(node:)?(fs|net|http)',
        ],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'no-orphans',
      comment: 'A file that nobody imports is dead, or an entry point.',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '^src/(server|worker|migrate)\\.ts$' },
      to: {},
    },
    {
      name: 'production-code-uses-dependencies',
      comment: 'The image has no dev dependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // A package of its own, which the generated clients are compiled in; and what runs in browsers.
    exclude: { path: '^(scripts/check-clients|src/assets)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node'] },
  },
};

/** A rule for files that were moved or renamed would hold for ever and forbid nothing: such a rule is an error. */
function refuseEmptyRules({ forbidden }) {
  const files = ['src', 'scripts', 'test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true }).map((file) => join(folder, file)),
  );
  const isDead = (pattern) => !files.some((file) => new RegExp(pattern).test(file));
  for (const { name, from, to } of forbidden) {
    const patterns = [from.path, from.pathNot, to.path, to.pathNot]
      .flat()
      .filter((pattern) => pattern !== undefined && !/^(\^\(node:\)|node_modules)/.test(pattern));
    for (const pattern of patterns.filter(isDead)) throw new Error(`${name}: no file matches ${pattern}`);
  }
}

refuseEmptyRules(config);
module.exports = config;
