/** What README and docs say, with the names of this interface, where devmem can be received. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';

import { getRings } from '../../dist/nic/netlink/ethtool.js';
import { runCli } from '../support/cli.js';
import { findBlock, ROOT } from '../support/docs/blocks.js';
import { withoutUsing } from '../support/docs/programs.js';
import { ADDRESS, INTERFACE, run, setHeaderSplit } from './support/guest.js';
import { makeBare, rssQueues, ruleCount, snapshot } from './support/nic.js';
import { startSender } from './support/transfer.js';
import { AUTO } from './support/transport.js';

const PORT = 5201;

/** A block of theirs, of an interface that has four queues. */
function block(document: string, words: string): string {
  const { text } = findBlock(document, words);
  const named = text.replaceAll('eth1', INTERFACE);
  return named.replaceAll(/\b14\b/g, '2').replaceAll(/\b15\b/g, '3');
}

/** Starts a program, from where it finds the package. */
function start(program: string) {
  const args = ['--input-type=module', '--eval', withoutUsing(program)];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Does by hand what has to be done before memory is bound. */
async function setUpByHand(): Promise<void> {
  const commands = block('docs/nic.md', 'ethtool -G').trim().split('\n');
  for (const command of commands.filter((each) => !splits(each) || canSplit)) {
    const known = (await getRings(INTERFACE))?.hdsThreshold !== undefined;
    // As its comment says.
    run('sh', '-ec', known ? command : command.replace(' hds-thresh 0', ''));
  }
  if (!canSplit) await setHeaderSplit(true);
}

const splits = (command: string): boolean => command.includes('tcp-data-split');

// An ethtool that came before Linux 6.2 cannot.
const canSplit = splits(run('ethtool', '--help'));

beforeEach(makeBare);

afterEach(async () => {
  await runCli(['nic', 'restore']);
  await makeBare();
  await setHeaderSplit(true);
});

it('the commands of docs/nic.md set the interface up', async () => {
  await setUpByHand();
  expect((await getRings(INTERFACE))?.tcpDataSplit).toBe('enabled');
  expect(rssQueues()).toEqual([0, 1]);
  expect(ruleCount()).toBe(1);
});

it("the guide's server receives into device memory", async () => {
  await setUpByHand();
  const receiver = start(block('docs/guide.md', "once(server, 'close')"));
  let printed = '';
  receiver.stdout.on('data', (piece) => (printed += String(piece)));
  // Until it listens.
  for (let status: unknown = 1; status !== 0 && receiver.exitCode === null;) {
    [status] = (await once(startSender(ADDRESS.IPv4, PORT, 2 ** 20, 'ignore'), 'exit')) as [
      unknown,
    ];
  }
  while (!printed.includes(', over ')) await once(receiver.stdout, 'data');
  receiver.kill('SIGINT');
  await once(receiver, 'exit');
  expect(printed).toBe(`${2 ** 20} bytes, one behind the other, over ${AUTO}\n`);
});

it('the program of docs/nic.md sets the interface up, binds, and puts everything back', async () => {
  const before = await snapshot();
  const program = start(block('docs/nic.md', 'await using prepared = await prepareInterface({'));
  const [status] = (await once(program, 'exit')) as [number | null];
  expect(status).toBe(0);
  expect(await snapshot()).toEqual(before);
});
