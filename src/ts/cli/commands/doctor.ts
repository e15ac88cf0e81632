/** `devmem-tcp doctor`: prints what diagnose() finds. */
import { diagnose } from '../../doctor/diagnose.js';
import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { renderReport } from '../doctor/render.js';
import { stdout } from '../output.js';
import { given, parseInterface } from '../values.js';
import { painter, terminalWidth } from '../wrap.js';

export const command: Command = {
  summary: 'tell whether devmem can be received here, and what is missing',
  help: `Tells whether a devmem receive could work here, what is missing, and what mends
it.

  devmem-tcp doctor [--interface IF] [--broker PATH] [--json]

  --interface IF  look at this interface alone (default: all that are hardware)
  --broker PATH   a broker binds, through the socket at PATH, not this process
  --json          print the report as JSON
  --help          this

Changes nothing and needs no privilege; as root it can tell more.
Exit status: 0 if a receive could work, 1 if something that it needs is missing
or unknown.
`,
  async run(args) {
    const { values, positionals } = parseOptions(args, {
      interface: { type: 'string' },
      broker: { type: 'string' },
      json: { type: 'boolean', default: false },
    });
    if (positionals.length > 0) throw new UsageError(`unexpected argument '${positionals[0]!}'`);
    const name = given(values.interface, (text) => parseInterface('--interface', text));
    const report = await diagnose({
      ...(name !== undefined && { interface: name }),
      ...(values.broker !== undefined && { broker: values.broker }),
    });
    stdout.write(
      values.json
        ? `${JSON.stringify(report, undefined, 2)}\n`
        : renderReport(report, terminalWidth(process.stdout), painter(process.stdout)),
    );
    return report.ready ? STATUS.ok : STATUS.failed;
  },
};
