// Part of `npm run build`: puts the files that the service serves beside its code, so that the image needs no dev
// dependency and the docs no internet.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const assets = path.join(root, 'dist', 'assets');
const { resolve } = createRequire(import.meta.url);

await mkdir(assets, { recursive: true });
for (const file of ['docs.js', 'pages.css']) {
  await copyFile(path.join(root, 'src', 'assets', file), path.join(assets, file));
}

// ReDoc shows a logo from the internet, which its policy would refuse with an error in the reader's console.
const LOGO = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
const redoc = await readFile(resolve('redoc/bundles/redoc.standalone.js'), 'utf8');
if (!redoc.includes(LOGO)) throw new Error('this version of ReDoc has its logo elsewhere; look where');
await writeFile(path.join(assets, 'redoc.standalone.js'), redoc.replaceAll(LOGO, 'data:,'));
