// @ts-check
/** What the kernel says of sockets and NICs, for the log of a failure. */
import * as nic from './nic.mjs';

const COMMANDS = Object.freeze([
  ['ss', '-H', '-t', '-i', '-m', '-n', '-o'],
  ['ethtool', '-S', nic.INTERFACE],
  ['ethtool', '-x', nic.INTERFACE],
  ['ethtool', '-n', nic.INTERFACE],
  ['nstat', '-a', '-s'],
  ['peer', 'ss', '-H', '-t', '-i', '-m', '-n', '-o'],
  ['peer', 'ethtool', '-S', nic.PEER_INTERFACE],
  ['peer', 'tc', '-s', 'qdisc', 'show', 'dev', nic.PEER_INTERFACE],
]);

// Counters that say nothing.
const QUIET = /^\s*\S+:\s+0$/;

/** @returns {Promise<string>} */
export async function describeKernel() {
  const parts = [];
  for (const [command = '', ...args] of COMMANDS) {
    const said = await nic
      .run(command, ...args)
      .catch((/** @type {unknown} */ error) => String(error));
    const lines = said.split('\n').filter((line) => line !== '' && !QUIET.test(line));
    parts.push(`# ${[command, ...args].join(' ')}`, ...lines);
  }
  return parts.join('\n');
}
