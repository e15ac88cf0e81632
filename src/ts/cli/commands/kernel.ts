/** `devmem-tcp kernel`: which patches a kernel needs, where they lie, how they are applied. */
import { kernelFacts } from '../../doctor/facts/kernel.js';
import { thisMachine } from '../../doctor/machine.js';
import { type KernelNeeds, kernelNeeds } from '../../kernel/needs.js';
import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { renderNeeds } from '../kernel/render.js';
import { stdout } from '../output.js';
import { given, parseRelease } from '../values.js';
import { painter, terminalWidth } from '../wrap.js';

export const command: Command = {
  summary: "tell which patches this machine's kernel needs, and how they are applied",
  help: `Tells which of the patches in this package a kernel needs, where they lie, how
they are applied, and how the software NIC devmemsim is built for it.

  devmem-tcp kernel [--release RELEASE] [--json]

  --release RELEASE  another kernel, as 'uname -r' names it there, or a version
                     such as 6.12 (default: the one that runs here)
  --json             print it as JSON
  --help             this

Changes nothing. Root, and who may read /proc/kallsyms, is told whether the
running kernel has the patches.
Exit status: 0, also where there are no patches for the kernel.
`,
  async run(args) {
    const { values, positionals } = parseOptions(args, {
      release: { type: 'string' },
      json: { type: 'boolean', default: false },
    });
    if (positionals.length > 0) throw new UsageError(`unexpected argument '${positionals[0]!}'`);
    const named = given(values.release, (text) => parseRelease('--release', text));
    const needs = named === undefined ? await needsHere() : kernelNeeds(named);
    stdout.write(
      values.json
        ? `${JSON.stringify(needs, undefined, 2)}\n`
        : renderNeeds(needs, terminalWidth(process.stdout), painter(process.stdout)),
    );
    return STATUS.ok;
  },
};

async function needsHere(): Promise<KernelNeeds> {
  const facts = await kernelFacts(thisMachine());
  if (facts.platform === 'linux' && facts.release !== undefined) {
    return kernelNeeds(facts.release, facts);
  }
  throw new UsageError(`this is ${facts.platform}, not Linux: name a kernel with --release`);
}
