// @ts-check
// `npm run build:ts`, its second half: what the compiler made of src/ts, over 200 modules,
// joined into dist/bundle, which is what ships. To find and read each module is most of what a
// start takes: joined, `import 'devmem-tcp'` takes less than half of the time.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { rolldown } from 'rolldown';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const bundle = path.join(dist, 'bundle');

/** These ask where they are, and so stay files of their own. */
const APART = /\/(load-addon|package-files)\.js$/;

/** @param {Record<string, string>} entries files below dist, by their names in the bundle */
const join = (entries) =>
  rolldown({
    input: Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, dist + file])),
    platform: 'node',
    external: [/^[^./]/],
    plugins: [
      {
        name: 'leaves apart',
        resolveId: (name) =>
          APART.test(name) ? { id: `../${path.basename(name)}`, external: 'absolute' } : null,
      },
    ],
  });

/** The modules that `import 'devmem-tcp'` runs. */
async function libraryModules() {
  const library = await join({ index: 'index.js' });
  const { output } = await library.generate();
  return new Set(output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : [])));
}

const ofLibrary = await libraryModules();
const all = await join({ index: 'index.js', cli: 'cli/main.js' });
rmSync(bundle, { recursive: true, force: true });
// One file for the library, which the command line uses, too, and one for each command.
const { output } = await all.write({
  dir: bundle,
  format: 'esm',
  chunkFileNames: '[name].js',
  // Types carry the documentation; here it would be read at each start, a fifth of all.
  comments: { annotation: false, jsdoc: false, legal: true },
  codeSplitting: { groups: [{ name: 'library', test: (id) => ofLibrary.has(id) }] },
});

// A module that asks where it is would be told where the bundle is.
const lost = output.filter(
  (chunk) => chunk.type === 'chunk' && /\bimport\.meta\b/.test(chunk.code),
);
if (lost.length > 0) {
  const names = lost.map(({ fileName }) => fileName).join(', ');
  throw new Error(`import.meta in ${names}: take packageFile() of src/ts/package-files.ts`);
}
