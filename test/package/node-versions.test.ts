/** One prebuild serves every version of Node that the package supports. */
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';

import { findBlock } from '../support/docs/blocks.js';
import { DocumentsMachine } from '../support/docs/machine.js';
import { withoutUsing } from '../support/docs/programs.js';
import { expectReceives, FIRST_PRINTS, SERVER_PRINTS } from '../support/docs/receiving.js';
import { Consumer } from './support/consumer.js';
import { NODE_VERSIONS, type NodeBinary, requiredNode } from './support/node-versions.js';
import { type Outcome, ROOT } from './support/run.js';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

describe.each(NODE_VERSIONS)('on Node %i', (major) => {
  let binary: NodeBinary;

  beforeAll(async () => {
    binary = await requiredNode(major);
  });

  function runOn(context: TestContext, args: string[]): Promise<Outcome> {
    if ('reason' in binary) context.skip(binary.reason);
    return consumer.run(args, binary.file);
  }

  it('is imported and loads its addon', async (context) => {
    const code = `import { isSupported } from 'devmem-tcp';
      console.log(process.versions.node.split('.')[0], isSupported())`;
    const outcome = await runOn(context, ['--input-type=module', '--eval', code]);
    expect(outcome).toEqual(quiet(`${major} true\n`));
  });

  it('is required from CommonJS', async (context) => {
    const code = "console.log(require('devmem-tcp').isSupported())";
    const outcome = await runOn(context, ['--input-type=commonjs', '--eval', code]);
    expect(outcome).toMatchObject({ status: 0, stdout: 'true\n' });
  });

  it('receives a stream over the copy transport', async (context) => {
    const outcome = await runOn(context, ['receive.mjs']);
    const result = { transport: 'copy', bytes: 8 * 2 ** 20, whole: true };
    expect(outcome).toEqual(quiet(`${JSON.stringify(result)}\n`));
  });

  it('maps as much as its ArrayBuffers hold, and refuses more', async (context) => {
    const expected = major === 20 ? 'ERR_DEVMEM_NOT_MAPPABLE' : 8 * 2 ** 30;
    expect(await runOn(context, ['map.mjs'])).toEqual(quiet(`${expected}\n`));
  });

  it('does not clone into another thread what belongs to one', async (context) => {
    const refused = 'DataCloneError true\n';
    expect(await runOn(context, ['clone.mjs'])).toEqual(quiet(refused.repeat(3)));
  });

  it("runs the README's first program", async (context) => {
    const program = findBlock('README.md', 'net.connect(').text;
    writeFileSync(path.join(consumer.folder, `first-${major}.mjs`), program);
    expect(await runOn(context, [`first-${major}.mjs`])).toEqual(quiet(FIRST_PRINTS));
  });

  it("runs the guide's server", async (context: TestContext) => {
    if ('reason' in binary) context.skip(binary.reason);
    const { file } = binary;
    if (process.getuid?.() !== 0) context.skip('needs root: run the tests as root');
    const program = findBlock('docs/guide.md', "once(server, 'close')").text;
    const script = path.join(consumer.folder, `server-${major}.mjs`);
    // As it is from Node.js 24 on, which has `using`; else as TypeScript makes it.
    writeFileSync(script, major >= 24 ? program : withoutUsing(program));
    await using machine = await DocumentsMachine.start();
    await expectReceives(machine, [file, script], SERVER_PRINTS);
  });

  it('survives the end of the only thread that has it, amid a stream', async (context) => {
    expect(await runOn(context, ['terminate-worker.mjs'])).toEqual(quiet('terminated\n'));
  });

  it.for(['forks', 'threads'])('is tested by vitest, in %s', async (pool, context) => {
    if ('reason' in binary) return context.skip(binary.reason);
    const vitest = path.join(ROOT, 'node_modules', 'vitest');
    const place = path.join(consumer.folder, 'node_modules', 'vitest');
    if (!existsSync(place)) symlinkSync(vitest, place);
    const args = ['run', '--root', consumer.folder, '--pool', pool, 'in-vitest.test.mjs'];
    const outcome = await consumer.run([path.join(vitest, 'vitest.mjs'), ...args], binary.file);
    expect(outcome.stderr).toBe('');
    expect(outcome).toMatchObject({ status: 0, signal: null });
    expect(outcome.stdout).toContain('1 passed');
  });

  it('lets the process exit amid a stream', async (context) => {
    expect(await runOn(context, ['exit.mjs'])).toEqual(quiet('exiting\n'));
  });
});

/** The end of a program that printed this and had nothing to complain about. */
const quiet = (stdout: string): Outcome => ({ status: 0, signal: null, stdout, stderr: '' });
