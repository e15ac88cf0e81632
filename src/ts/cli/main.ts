#!/usr/bin/env node
/** `devmem-tcp COMMAND`: finds the command and runs it. */
import { type Command, STATUS, UsageError } from './command.js';
import { printable } from '../nic/quoting.js';
import { labNeedsClone, readManifest } from './manifest.js';
import { stderr, stdout } from './output.js';
import { runProgram } from './program.js';
import { suggestion } from './suggest.js';

/** Loaded when asked for: a command does not wait for the code of others. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  doctor: async () => (await import('./commands/doctor.js')).command,
  recv: async () => (await import('./commands/recv.js')).command,
  send: async () => (await import('./commands/send.js')).command,
  nic: async () => (await import('./commands/nic.js')).command,
  broker: async () => (await import('./commands/broker.js')).command,
  kernel: async () => (await import('./commands/kernel.js')).command,
  demo: async () => (await import('./commands/demo.js')).command,
  top: async () => (await import('./commands/top.js')).command,
};

const HELP = ['--help', '-h'];

async function main([name, ...args]: string[]): Promise<number> {
  if (name === 'help' && args[0] !== undefined) return main([args[0], '--help']);
  if (name === undefined || name === 'help' || HELP.includes(name)) {
    stdout.write(await overview());
    return name === undefined ? STATUS.usage : STATUS.ok;
  }
  if (name === '--version') {
    stdout.write(`${(await readManifest()).version}\n`);
    return STATUS.ok;
  }
  // A script of the repository, not a command: it needs what the tarball leaves out.
  if (name === 'lab') return complain(labNeedsClone(await readManifest()));
  if (!Object.hasOwn(COMMANDS, name)) {
    const known = Object.keys(COMMANDS);
    return complain(
      `there is no command '${name}'${suggestion(name, known)}. The commands are ${known.join(', ')}`,
    );
  }
  const command = await COMMANDS[name]!();
  if (args.some((arg) => HELP.includes(arg))) {
    stdout.write(command.help);
    return STATUS.ok;
  }
  try {
    return await command.run(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return complain(`${error.message}\nTry 'devmem-tcp ${name} --help'`);
  }
}

/** It may have an argument in it, which can hold anything. */
function complain(what: string): number {
  stderr.write(`devmem-tcp: ${what.split('\n').map(printable).join('\n')}\n`);
  return STATUS.usage;
}

async function overview(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(COMMANDS).map(
      async ([name, load]) => `  ${name.padEnd(8)}  ${(await load()).summary}\n`,
    ),
  );
  return `Receive TCP payload straight into device memory.

  devmem-tcp COMMAND [OPTION]…
  devmem-tcp --version

${lines.join('')}
'devmem-tcp COMMAND --help' tells the options of each.
`;
}

await runProgram('devmem-tcp', () => main(process.argv.slice(2)));
