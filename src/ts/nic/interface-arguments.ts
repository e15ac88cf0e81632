/** Checks of the arguments that name an interface and its queues. */
import { networkInterfaces } from 'node:os';

import { checkInteger, invalidArgType, invalidArgValue, systemError } from '../errors.js';
import { native } from '../native.js';

const MAX_QUEUE = 0xffff;

/**
 * @param argument - what it is called
 * @throws TypeError
 */
export function checkInterface(name: unknown, argument = 'options.interface'): string {
  if (typeof name !== 'string') throw invalidArgType(argument, 'a string', name);
  // include/uapi/linux/if.h IFNAMSIZ, with its terminating zero.
  if (name.length < 1 || name.length > 15 || /[\s/\0]/.test(name)) {
    throw invalidArgValue(argument, "an interface's name of 1 to 15 bytes", name);
  }
  return name;
}

/**
 * @param argument - what they are called
 * @throws TypeError, RangeError
 */
export function checkQueues(queues: unknown, argument = 'options.queues'): number[] {
  if (!Array.isArray(queues)) throw invalidArgType(argument, 'an array of numbers', queues);
  if (queues.length === 0) throw invalidArgValue(argument, 'one queue or more', queues);
  const checked = queues.map((queue, index) =>
    checkInteger(`${argument}[${index}]`, queue, 0, MAX_QUEUE),
  );
  if (new Set(checked).size !== checked.length) {
    throw invalidArgValue(argument, 'distinct queues', queues);
  }
  return checked;
}

/** @throws SystemError ENODEV */
export function interfaceIndex(name: string): number {
  const index = native().interfaceIndex(name);
  if (index > 0) return index;
  const names = Object.keys(networkInterfaces());
  throw systemError(index, 'if_nametoindex', {
    subject: `no interface '${name}'`,
    hint: `With an address here: ${names.join(', ') || 'none'}; 'ip link' lists all`,
  });
}
