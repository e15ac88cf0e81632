/** Programs that a bundler made one file of. */
import path from 'node:path';

import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Consumer } from './support/consumer.js';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

type Format = 'esm' | 'cjs';

/** Bundles a program with esbuild and runs it; what it printed. */
async function bundleAndRun(format: Format, external: string[]): Promise<unknown> {
  const file = path.join(consumer.folder, `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`);
  await build({
    absWorkingDir: consumer.folder,
    entryPoints: ['bundled.mjs'],
    outfile: file,
    bundle: true,
    platform: 'node',
    format,
    external,
    logLevel: 'silent',
  });
  const { status, stdout, stderr } = await consumer.run(['--no-warnings', file]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout);
}

describe.each(['esm', 'cjs'] as const)('a bundle of esbuild (%s)', (format) => {
  it('works where it leaves the package out, as the README says', async () => {
    expect(await bundleAndRun(format, ['devmem-tcp'])).toEqual({ transport: 'copy' });
  });

  it('says what is wrong where it does not', async () => {
    const said = (await bundleAndRun(format, [])) as { reason: string };
    expect(said.reason).toContain('devmem-tcp was bundled into another file');
    expect(said.reason).toContain('--external:devmem-tcp');
  });
});
