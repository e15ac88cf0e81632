// @ts-check
// Runs before `npm pack` and `npm publish`: checks that what was built is there, and
// puts a copy of binding.gyp beside the native sources. Not at the package's root,
// where npm would take it for an install script; and takes out of package.json what is for
// clones alone. Afterwards, `--clean` undoes both.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { removeBindingCopy, writeBindingCopy } from './binding-copy.mjs';
import { restoreManifest, shipManifest } from './shipped-manifest.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

/** @param {string} folder */
const filesBelow = (folder) =>
  existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];

function checkBuilt() {
  if (!existsSync('dist/bundle/index.js')) throw new Error("dist/ is missing: 'npm run build:ts'");
  if (!filesBelow('prebuilds').some((name) => name.endsWith('.node'))) {
    throw new Error("prebuilds/ has no binary: 'npm run prebuild'");
  }
}

/** What the compiler makes of a source file; dist/bundle is made anew each time. */
const COMPILED = /(?<!^bundle\/.*)\.(js|d\.ts)$/;

// The compiler leaves the output of sources that are gone.
function removeOrphans() {
  for (const name of filesBelow('dist').filter((file) => COMPILED.test(file))) {
    const source = name.replace(COMPILED, '.ts');
    if (!existsSync(path.join('src/ts', source))) rmSync(path.join('dist', name));
  }
}

if (process.argv.includes('--clean')) {
  removeBindingCopy();
  restoreManifest();
} else {
  checkBuilt();
  removeOrphans();
  writeBindingCopy();
  shipManifest();
}
