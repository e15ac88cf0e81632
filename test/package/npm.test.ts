/** npm itself, of the versions in use: installing says and runs nothing. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Consumer } from './support/consumer.js';
import { npmOf, requiredNode } from './support/node-versions.js';
import { run } from './support/run.js';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

// npm 12 runs no dependency's scripts unless it is told to, and needs a newer Node.js.
describe.each([
  { npm: 10, node: 20 },
  { npm: 11, node: 22 },
  { npm: 12, node: 26 },
])('npm $npm', ({ npm: major, node }) => {
  it('installs the tarball without a warning, a script or a compiler', async (context) => {
    const [binary, script] = [await requiredNode(node), await npmOf(major)];
    if ('reason' in binary) return context.skip(binary.reason);
    if ('reason' in script) return context.skip(script.reason);
    const folder = path.join(path.dirname(consumer.folder), `npm-${major}`);
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'package.json'), '{"private":true,"type":"module"}');
    const args = ['install', '--offline', '--no-audit', '--no-fund', '--no-update-notifier'];
    const outcome = await run(
      binary.file,
      [script.file, ...args, consumer.tarball, ...consumer.dependencies],
      { cwd: folder, env: { ...consumer.environment, npm_config_cache: `${folder}-cache` } },
    );
    expect(outcome.stderr).toBe('');
    expect(outcome.status).toBe(0);
    expect(existsSync(path.join(folder, 'node_modules/devmem-tcp/build'))).toBe(false);

    const code = "import('devmem-tcp').then((it) => console.log(it.isSupported()))";
    const env = { ...consumer.environment, PREBUILDS_ONLY: '1' };
    const used = await run(binary.file, ['--eval', code], { cwd: folder, env });
    expect(used).toMatchObject({ status: 0, stdout: 'true\n', stderr: '' });
  });
});
