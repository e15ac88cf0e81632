/** `devmem-tcp demo`: receives a verified stream in the best way that this machine has. */
import { TRANSPORTS } from '../../receive/transports/all.js';
import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { insideLab, labSurroundings, runInLab } from '../demo/lab.js';
import { type DemoResult, type DemoSetup, runDemo } from '../demo/receive.js';
import { stdout } from '../output.js';
import { receiveText } from '../transfer/receive-report.js';
import { given, parseSize } from '../values.js';

const HOST_BYTES = 2 ** 30;
const LAB_BYTES = 64 * 2 ** 20;
const MEMORY_BYTES = 64 * 2 ** 20;

export const command: Command = {
  summary: 'receive a verified stream from this machine itself, to see it work',
  help: `Receives a pseudo-random stream over TCP and verifies every byte where it
landed.

  devmem-tcp demo [OPTION]…

  --lab           on the real kernel path, in the lab's guest: in a clone of the
                  repository (needs QEMU; installs it where it can)
  --kernel NAME   the guest's kernel: debian-6.12 (default), debian-7; implies
                  --lab
  --bytes SIZE    how much, e.g. 256M (default 1G, in the guest 64M)
  --json          print the result as JSON
  --help          this

Exit status: 0 if every byte was right, 1 if not, or if it failed.
`,
  async run(args) {
    const { values, positionals } = parseOptions(args, {
      lab: { type: 'boolean', default: false },
      kernel: { type: 'string' },
      bytes: { type: 'string' },
      json: { type: 'boolean', default: false },
    });
    if (positionals.length > 0) throw new UsageError(`unexpected argument '${positionals[0]!}'`);
    const { lab, json, kernel } = values;
    const bytes = given(values.bytes, (text) => parseSize('--bytes', text));
    if ((lab || kernel !== undefined) && !insideLab) {
      const more = ['--bytes', String(bytes ?? LAB_BYTES), ...(json ? ['--json'] : [])];
      return runInLab(kernel, more);
    }
    const result = await runDemo(setupHere(bytes), json);
    stdout.write(json ? `${JSON.stringify(result)}\n` : text(result));
    return result.verified ? STATUS.ok : STATUS.failed;
  },
};

function setupHere(bytes: number | undefined): DemoSetup {
  if (insideLab) {
    const surroundings = labSurroundings();
    return {
      bytes: bytes ?? LAB_BYTES,
      memoryBytes: MEMORY_BYTES,
      mode: 'devmem',
      ...surroundings,
    };
  }
  return {
    bytes: bytes ?? HOST_BYTES,
    memoryBytes: MEMORY_BYTES,
    mode: 'copy',
    interface: undefined,
    queues: undefined,
    host: '127.0.0.1',
    peerCommand: [],
  };
}

function text(result: DemoResult): string {
  const advice = TRANSPORTS[result.transport].copies
    ? "\n  The real devmem path needs a capable NIC; in a clone of the repository\n  'npm run demo -- --lab' runs it in a guest.\n"
    : '';
  return `\n${receiveText(result)}${advice}`;
}
