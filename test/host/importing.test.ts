/** What `import 'devmem-tcp'` brings in before anything is called. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const BUNDLE = fileURLToPath(new URL('../../dist/bundle/index.js', import.meta.url));
/** Modules of Node.js that take long to start, and that few programs of this package need. */
const COSTLY = ['crypto', 'http', 'tls', 'zlib'];

// Node.js tells of a module that it has loaded by itself.
const PROGRAM = `
  const loaded = () => new Set(process.moduleLoadList.map((name) => name.replace('NativeModule ', '')));
  const before = loaded();
  await import(${JSON.stringify(BUNDLE)});
  const fresh = [...loaded()].filter((name) => !before.has(name));
  console.log(JSON.stringify(fresh));`;

it('the costly modules of Node.js are left until they are needed', () => {
  const args = ['--input-type=module', '--eval', PROGRAM];
  const fresh = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as string[];
  expect(fresh).toContain('net');
  expect(fresh.filter((name) => COSTLY.includes(name))).toEqual([]);
});
