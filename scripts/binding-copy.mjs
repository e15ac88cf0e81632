// @ts-check
/** binding.gyp for who builds the installed package: a copy beside the native sources. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const ORIGINAL = path.join(root, 'binding.gyp');
const COPY = path.join(root, 'src/native/binding.gyp');

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

export function writeBindingCopy() {
  let text = readFileSync(ORIGINAL, 'utf8');
  for (const [from, to] of MOVED) {
    if (!text.includes(from)) throw new Error(`binding.gyp does not contain '${from}' any more`);
    text = text.replaceAll(from, to);
  }
  if (text.includes('src/native')) throw new Error('binding.gyp has paths that are not rewritten');
  writeFileSync(COPY, text);
}

export const removeBindingCopy = () => rmSync(COPY, { force: true });
