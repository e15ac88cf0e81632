/** `devmem-tcp nic`: setting an interface up from the command line, and back. */
import {
  applyPlan,
  type InterfacePlan,
  planInterface,
  type PrepareOptions,
} from '../../nic/prepare.js';
import { queueList } from '../../nic/queue-list.js';
import { printable, shellWord } from '../../nic/quoting.js';
import { type Restoration, restoreInterfaces } from '../../nic/restore.js';
import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { Interruption } from '../interruption.js';
import { stdout } from '../output.js';
import { given, parseInterface, parseQueues } from '../values.js';
import { FLOW_HELP, FLOW_OPTIONS, parseFlows } from '../flow-options.js';

const HELP = `Set an interface up for devmem TCP, and put it back.

  devmem-tcp nic plan --interface IF --queues 2,3 [FLOW]… [--json]
  devmem-tcp nic apply --interface IF --queues 2,3 [FLOW]… [--json]
  devmem-tcp nic restore [--interface IF] [--json]

plan      tells what is, what has to change, the ethtool command for it, and
          what is in the way; changes nothing. Exit status 1 if something is
apply     does it; it stays until restore
restore   puts back what apply did, and what processes left behind that ended
          without doing so; of what runs, it keeps its hands off

  --interface IF              the network interface
  --queues N[,N]…             receive queues that memory will be bound to
${FLOW_HELP}
  --runtime-directory PATH    where the journal lies (default
                              $DEVMEM_TCP_RUNTIME_DIR, else /run/devmem-tcp for
                              root, else $XDG_RUNTIME_DIR/devmem-tcp)
  --json                      one JSON document instead of text
`;

const OPTIONS = {
  interface: { type: 'string' },
  queues: { type: 'string' },
  'runtime-directory': { type: 'string' },
  json: { type: 'boolean', default: false },
  ...FLOW_OPTIONS,
} as const;

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  return parseOptions(args, OPTIONS);
}

async function prepareOptions(values: Values): Promise<PrepareOptions> {
  if (values.interface === undefined) throw new UsageError('--interface is missing');
  if (values.queues === undefined) throw new UsageError('--queues is missing, e.g. --queues 2,3');
  return {
    interface: parseInterface('--interface', values.interface),
    queues: parseQueues('--queues', values.queues),
    flows: await parseFlows(values),
    ...directoryOption(values),
  };
}

function directoryOption(values: Values): { runtimeDirectory?: string } {
  const runtimeDirectory = values['runtime-directory'];
  return runtimeDirectory === undefined ? {} : { runtimeDirectory };
}

function print(json: boolean, document: unknown, text: string): void {
  stdout.write(`${json ? JSON.stringify(document, null, 2) : text}\n`);
}

function planDocument(plan: InterfacePlan): object {
  const { interface: name, driver, queues, steps, blockers, notes, changes } = plan;
  return { interface: name, driver, queues, steps, blockers, notes, changes };
}

async function plan(values: Values): Promise<number> {
  const planned = await planInterface(await prepareOptions(values));
  print(values.json, planDocument(planned), String(planned));
  return planned.blockers.length === 0 ? STATUS.ok : STATUS.failed;
}

/** What is interrupted, or cannot say what it did, leaves nothing behind. */
async function apply(values: Values): Promise<number> {
  const options = await prepareOptions(values);
  using interruption = new Interruption();
  const applied = await applyPlan(options);
  const undo = `'devmem-tcp nic restore --interface ${shellWord(applied.interface)}' puts it back`;
  print(values.json, planDocument(applied.plan), `${String(applied.plan)}\ndone; ${undo}`);
  await stdout.flush();
  if (!(await interruption.isPending())) return STATUS.ok;
  await applied.restore();
  throw interruption.signal.reason;
}

async function restore(values: Values): Promise<number> {
  if (values.queues !== undefined || values.listen || values.connect || values.flow) {
    throw new UsageError('restore takes no queues and no flows: it restores what was done');
  }
  const name = given(values.interface, (text) => parseInterface('--interface', text));
  using interruption = new Interruption();
  const restorations = await restoreInterfaces({
    ...(name !== undefined && { interface: name }),
    ...directoryOption(values),
  });
  const document = restorations.map(({ error, ...rest }) => ({
    ...rest,
    ...(error && { error: error.message }),
  }));
  const text = restorations.map(restorationText).join('\n');
  print(values.json, document, text === '' ? 'nothing to restore' : text);
  if (await interruption.isPending()) throw interruption.signal.reason;
  return restorations.some(({ error }) => error) ? STATUS.failed : STATUS.ok;
}

function restorationText(each: Restoration): string {
  const { queues, madeBy, settings, error } = each;
  const head = `${printable(each.interface)}, queues ${queueList(queues)}, set up by ${madeBy}`;
  if (error !== undefined) return `${head}: ${error.message}`;
  if (each.inUse) return `${head}, which runs: left alone`;
  const lines = settings.map(({ what, outcome, detail }) => `  ${what}: ${outcome}, ${detail}`);
  return [`${head}:`, ...lines].join('\n');
}

const ACTIONS: Readonly<Record<string, (values: Values) => Promise<number>>> = {
  plan,
  apply,
  restore,
};

export const command: Command = {
  summary: 'set an interface up (plan, apply), and put it back (restore)',
  help: HELP,
  async run(args) {
    const { values, positionals } = parse(args);
    const [name, ...more] = positionals;
    if (name === undefined || !Object.hasOwn(ACTIONS, name)) {
      const what = name === undefined ? 'nic' : `nic ${name}`;
      throw new UsageError(`${what}: say plan, apply or restore`);
    }
    if (more.length > 0) throw new UsageError(`nic ${name}: '${more[0]}' is too much`);
    return ACTIONS[name]!(values);
  },
};
