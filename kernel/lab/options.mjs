// @ts-check
/** The command line of the lab. */
import { parseArgs } from 'node:util';

import { DEFAULT_KERNEL, KERNEL_LINES, KERNEL_RECIPES, guestNeeds } from './kernels.mjs';
import { LabError, STATUS, messageOf } from './report.mjs';
import { DEFAULTS } from './run.mjs';

const kernels = Object.entries({ ...KERNEL_LINES, ...KERNEL_RECIPES })
  .map(([name, { about }]) => `                         ${name.padEnd(13)} ${about}`)
  .join('\n');

const [stock, debug] = [guestNeeds(DEFAULT_KERNEL), guestNeeds('debug-6.12')];

export const HELP = `Usage: npm run lab -- [OPTION]… -- COMMAND [ARGUMENT]…

Boots a kernel in QEMU with the software NIC devmemsim, and runs COMMAND in it: in
this working tree, with this machine's programs, as root. The command's output and
exit status become the lab's.

Options:
  --kernel NAME          which kernel (default ${DEFAULTS.kernel}):
${kernels}
                         or any that was put into the cache
  --timeout SECONDS      limit for boot and command (default ${stock.timeoutSeconds}; debug-*: ${debug.timeoutSeconds})
  --sim PARAMETERS       parameters of devmemsim (default '${DEFAULTS.sim}')
  --no-sim               boot without devmemsim: no network but loopback
  --driver FOLDER        source of the driver, instead of kernel/devmemsim
  --env NAME=VALUE       set a variable in the guest (may be repeated)
  --cpus N               virtual CPUs (default ${DEFAULTS.cpus})
  --memory MIB           memory of the guest (default ${stock.memoryMiB}; debug-*: ${debug.memoryMiB})
  --icount               let the guest's clock count instructions, a nanosecond each, on one
                         virtual CPU: what costs the same takes the same time
  --append TEXT          more for the kernel's command line
  --kernel-log FILE      keep the whole kernel log
  --allow-splat REGEX    a complaint of the kernel that does not fail the run (may be repeated)
  --update               look for a newer kernel now, not once a day (newer source: only so)
  --quiet                no progress on stderr
  --prepare              make packages, kernel and driver ready; boot nothing
  --print-paths          the same, and print as JSON where they are
  --checkpatch           take the arguments as C files or patches, and run the kernel's
                         checkpatch on them; boot nothing
  --help

In the guest:
  Network namespace rx, where COMMAND runs, holds dms0 (192.0.2.1, 2001:db8::1);
  \`peer COMMAND\` runs something in tx, with dms1 (192.0.2.2, 2001:db8::2).
  Changes in the working tree last; all others are gone afterwards.

Exit status: the command's own, or
  ${STATUS.usage}   bad usage
  ${STATUS.unavailable}   something needed is missing, and could not be installed, fetched or built
  ${STATUS.kernel}   the guest's kernel complained or died
  ${STATUS.timeout}  the time limit passed
`;

/**
 * @typedef {object} ParsedCommandLine
 * @property {'help' | 'prepare' | 'print-paths' | 'checkpatch' | 'run'} action
 * @property {boolean} quiet
 * @property {Omit<import('./run.mjs').RunOptions, 'reporter' | 'signal'>} options
 */

/**
 * @param {readonly string[]} args without node and script
 * @returns {ParsedCommandLine}
 * @throws {LabError} status 64
 */
export function parseCommandLine(args) {
  const { values, command } = parse(args);
  /** @type {ParsedCommandLine['options']} */
  const options = { command, withSim: !values['no-sim'], update: values.update };
  if (values.kernel !== undefined) options.kernel = values.kernel;
  if (values.sim !== undefined) options.sim = values.sim;
  if (values.driver !== undefined) options.driver = values.driver;
  if (values.append !== undefined) options.append = values.append;
  if (values['kernel-log'] !== undefined) options.kernelLog = values['kernel-log'];
  if (values.timeout !== undefined) options.timeoutSeconds = positive('--timeout', values.timeout);
  if (values.cpus !== undefined) options.cpus = whole('--cpus', values.cpus);
  if (values.memory !== undefined) options.memoryMiB = whole('--memory', values.memory);
  if (values.icount) options.icount = true;
  if (values.env) options.env = Object.fromEntries(values.env.map(variable));
  if (values['allow-splat']) options.allowSplats = values['allow-splat'].map(pattern);

  const action = actionOf(values);
  if (action === 'run' && command.length === 0) {
    throw new LabError('no command given: npm run lab -- [OPTION]… -- COMMAND…', STATUS.usage);
  }
  return { action, quiet: values.quiet, options };
}

/**
 * @param {ReturnType<typeof parse>['values']} values
 * @returns {ParsedCommandLine['action']}
 */
function actionOf(values) {
  if (values.help) return 'help';
  if (values['print-paths']) return 'print-paths';
  if (values.prepare) return 'prepare';
  if (values.checkpatch) return 'checkpatch';
  return 'run';
}

const OPTIONS = /** @type {const} */ ({
  kernel: { type: 'string' },
  timeout: { type: 'string' },
  sim: { type: 'string' },
  'no-sim': { type: 'boolean', default: false },
  driver: { type: 'string' },
  env: { type: 'string', multiple: true },
  cpus: { type: 'string' },
  memory: { type: 'string' },
  icount: { type: 'boolean', default: false },
  append: { type: 'string' },
  'kernel-log': { type: 'string' },
  'allow-splat': { type: 'string', multiple: true },
  update: { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
  prepare: { type: 'boolean', default: false },
  'print-paths': { type: 'boolean', default: false },
  checkpatch: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

/**
 * Options end where the command begins: its own are none of the lab's.
 *
 * @param {readonly string[]} args
 */
function parse(args) {
  const lenient = { args: [...args], options: OPTIONS, allowPositionals: true, strict: false };
  const { tokens } = parseArgs({ ...lenient, tokens: true });
  const end = tokens.find(({ kind }) => kind === 'positional' || kind === 'option-terminator');
  const cut = end?.index ?? args.length;
  const command = args.slice(end?.kind === 'option-terminator' ? cut + 1 : cut);
  try {
    const { values } = parseArgs({ args: args.slice(0, cut), options: OPTIONS });
    return { values, command };
  } catch (error) {
    throw new LabError(messageOf(error), STATUS.usage);
  }
}

/**
 * @param {string} option
 * @param {string} text
 */
function positive(option, text) {
  const number = Number(text);
  if (!(number > 0 && number < Infinity))
    throw new LabError(`${option} takes a number above 0, not "${text}"`, STATUS.usage);
  return number;
}

/**
 * @param {string} option
 * @param {string} text
 */
function whole(option, text) {
  const number = positive(option, text);
  if (!Number.isInteger(number))
    throw new LabError(`${option} takes a whole number, not "${text}"`, STATUS.usage);
  return number;
}

/**
 * @param {string} text
 * @returns {[string, string]}
 */
function variable(text) {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new LabError(`--env takes NAME=VALUE, not "${text}"`, STATUS.usage);
  return [name, value];
}

/** @param {string} text */
function pattern(text) {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new LabError(`--allow-splat: ${messageOf(error)}`, STATUS.usage);
  }
}
