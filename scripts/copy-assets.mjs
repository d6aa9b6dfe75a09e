// Part of `npm run build`: puts the files that the service serves beside its code, so that the image needs no dev
// dependency and the docs no internet.
import { copyFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const assets = path.resolve(import.meta.dirname, '..', 'dist', 'assets');
const { resolve } = createRequire(import.meta.url);

await mkdir(assets, { recursive: true });
await copyFile(resolve('redoc/bundles/redoc.standalone.js'), path.join(assets, 'redoc.standalone.js'));
