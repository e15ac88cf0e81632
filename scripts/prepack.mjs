// @ts-check
// Runs before `npm pack` and `npm publish`: checks that what was built is there, and
// puts a copy of binding.gyp beside the native sources. Not at the package's root,
// where npm would take it for an install script. Afterwards, `--clean` removes it.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const COPY = 'src/native/binding.gyp';

// Paths are relative to the file, and the result goes where the loader looks: into
// build/Release below the package's root. PRODUCT_DIR is src/native/build/Release.
/** @type {[from: string, to: string][]} */
const MOVED = [
  ['"src/native/', '"'],
  ['"include_dirs": ["src/native"]', '"include_dirs": ["."]'],
  [
    '"target_name": "devmem_tcp",',
    '"target_name": "devmem_tcp",\n      "product_dir": "<(PRODUCT_DIR)/../../../../build/Release",',
  ],
];

function writeCopy() {
  let text = readFileSync('binding.gyp', 'utf8');
  for (const [from, to] of MOVED) {
    if (!text.includes(from)) throw new Error(`binding.gyp does not contain '${from}' any more`);
    text = text.replaceAll(from, to);
  }
  if (text.includes('src/native')) throw new Error('binding.gyp has paths that are not rewritten');
  writeFileSync(COPY, text);
}

/** @param {string} folder */
const filesBelow = (folder) =>
  existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];

function checkBuilt() {
  if (!existsSync('dist/index.js')) throw new Error("dist/ is missing: 'npm run build:ts'");
  if (!filesBelow('prebuilds').some((name) => name.endsWith('.node'))) {
    throw new Error("prebuilds/ has no binary: 'npm run prebuild'");
  }
}

// The compiler leaves the output of sources that are gone.
function removeOrphans() {
  for (const name of filesBelow('dist').filter((file) => /\.(js|d\.ts)(\.map)?$/.test(file))) {
    const source = name.replace(/\.(js|d\.ts)(\.map)?$/, '.ts');
    if (!existsSync(path.join('src/ts', source))) rmSync(path.join('dist', name));
  }
}

if (process.argv.includes('--clean')) {
  rmSync(COPY, { force: true });
} else {
  checkBuilt();
  removeOrphans();
  writeCopy();
}
