// @ts-check
/** The NIC pair's settings. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

export const INTERFACE = 'dms0';
export const PEER_INTERFACE = 'dms1';
export const ADDRESS = Object.freeze({ IPv4: '192.0.2.1', IPv6: '2001:db8::1' });
export const PEER_ADDRESS = Object.freeze({ IPv4: '192.0.2.2', IPv6: '2001:db8::2' });
export const QUEUES = 8;

const execute = promisify(execFile);

/**
 * Runs a program in the receiving namespace.
 * @param {string} command
 * @param {...(string | number)} args
 */
export async function run(command, ...args) {
  const { stdout } = await execute(command, args.map(String));
  return stdout;
}

/**
 * @param {'loss' | 'linear_bytes' | 'frag_size'} name
 * @param {number} value
 */
export async function setParameter(name, value) {
  await writeFile(`/sys/module/devmemsim/parameters/${name}`, String(value));
}

/**
 * Which queues packets without a rule are hashed to.
 * @param {readonly number[]} queues
 */
export async function spreadOver(queues) {
  const weights = Array.from({ length: QUEUES }, (_, queue) => (queues.includes(queue) ? 1 : 0));
  await run('ethtool', '-X', INTERFACE, 'weight', ...weights);
}

/** A steering rule. */
export class Rule {
  /** @type {string[]} */
  #locations = [];

  /**
   * Sends what comes for a port to a queue, in both families.
   * @param {number} port
   * @param {number} queue
   */
  static async add(port, queue) {
    const rule = new Rule();
    for (const type of ['tcp4', 'tcp6']) {
      const flow = ['flow-type', type, 'dst-port', port, 'action', queue];
      const said = await run('ethtool', '-N', INTERFACE, ...flow);
      const location = /ID (\d+)/.exec(said)?.[1];
      if (location === undefined) throw new Error(`ethtool -N said: ${said}`);
      rule.#locations.push(location);
    }
    return rule;
  }

  async remove() {
    for (const each of this.#locations.splice(0)) {
      await run('ethtool', '-N', INTERFACE, 'delete', each);
    }
  }
}

/** @param {number} bytes */
export async function setMtu(bytes) {
  await run('peer', 'ip', 'link', 'set', PEER_INTERFACE, 'mtu', bytes);
  await run('ip', 'link', 'set', INTERFACE, 'mtu', bytes);
}

/** @param {boolean} on whether the sender may hand over super-packets */
export async function setSegmentationOffload(on) {
  await run('peer', 'ethtool', '-K', PEER_INTERFACE, 'tso', on ? 'on' : 'off');
}

/**
 * @param {'rx' | 'tx'} end
 * @param {number} ms for how long
 */
export async function takeDown(end, ms) {
  const link =
    end === 'rx' ? ['ip', 'link', 'set', INTERFACE] : ['peer', 'ip', 'link', 'set', PEER_INTERFACE];
  const [command, ...args] = /** @type {[string, ...string[]]} */ (link);
  await run(command, ...args, 'down');
  await delay(ms);
  await run(command, ...args, 'up');
}

/** Addresses outlive an interface that goes down; without this those of IPv6 do not. */
export async function keepAddresses() {
  const script = 'for f in /proc/sys/net/ipv6/conf/*/keep_addr_on_down; do echo 1 >$f; done';
  await run('sh', '-c', script);
  await run('peer', 'sh', '-c', script);
}

/** A counter of the NIC, over all queues. @param {string} name */
export async function statistic(name) {
  const said = await run('ethtool', '-S', INTERFACE);
  return Number(new RegExp(`^\\s*${name}: (\\d+)$`, 'm').exec(said)?.[1]);
}
