/** Checks of the arguments that name an interface and its queues. */
import { constants } from 'node:os';

import {
  checkEach,
  checkInteger,
  invalidArgType,
  invalidArgValue,
  systemError,
} from '../errors.js';
import { expectedInterfaceName } from './interface-name.js';
import { findLink, type Link, listLinks } from './netlink/link.js';
import { printable, shellWord } from './quoting.js';

const MAX_QUEUE = 0xffff;

/**
 * @param argument - what it is called
 * @throws TypeError
 */
export function checkInterface(name: unknown, argument = 'options.interface'): string {
  if (typeof name !== 'string') throw invalidArgType(argument, 'a string', name);
  const expected = expectedInterfaceName(name);
  if (expected !== undefined) throw invalidArgValue(argument, expected, name);
  return name;
}

/**
 * @param argument - what they are called
 * @throws TypeError, RangeError
 */
export function checkQueues(queues: unknown, argument = 'options.queues'): number[] {
  const checked = checkEach(argument, queues, 'an array of numbers', (name, queue) =>
    checkInteger(name, queue, 0, MAX_QUEUE),
  );
  if (checked.length === 0) throw invalidArgValue(argument, 'one queue or more', queues);
  if (new Set(checked).size !== checked.length) {
    throw invalidArgValue(argument, 'distinct queues', queues);
  }
  return checked;
}

/**
 * The interface that goes by the name. Everything after this goes by what the kernel
 * calls it, and by its index: an interface has one of each, and any number of other names.
 *
 * @throws SystemError ENODEV; EILSEQ where the kernel's name for it is no UTF-8
 */
export async function findInterface(name: string): Promise<Link> {
  const link = await findLink(name);
  if (link === undefined) throw await noInterface(name);
  // Then it cannot be given back to the kernel, which ethtool's ioctl asks for.
  if (link.name.includes('\ufffd')) {
    throw systemError(-constants.errno.EILSEQ, 'rtnetlink getlink', {
      subject: `interface ${link.index} has a name that is no UTF-8`,
      hint: `Name it otherwise: ip link set dev ${shellWord(name)} name NAME`,
    });
  }
  return link;
}

/** The error for a name that no interface goes by. */
export async function noInterface(name: string): Promise<Error> {
  const links = await listLinks().catch(() => []);
  const names = links.map((link) => printable(link.name)).join(', ');
  return systemError(-constants.errno.ENODEV, 'rtnetlink getlink', {
    subject: `no interface '${printable(name)}'`,
    hint: `In this network namespace there are: ${names || 'none'}`,
  });
}
