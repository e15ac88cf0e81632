/** Checks of what prepareInterface() and planInterface() are given. */
import { checkEach, checkObject, invalidArgType } from '../../errors.js';
import { checkFlow } from '../flows.js';
import { checkInterface, checkQueues, findInterface } from '../interface-arguments.js';
import type { Link } from '../netlink/link.js';
import type { Request } from './planning.js';

export interface CheckedPrepare extends Request {
  link: Link;
}

interface Given {
  interface?: unknown;
  queues?: unknown;
  flows?: unknown;
  runtimeDirectory?: unknown;
}

/** @throws TypeError, RangeError; SystemError ENODEV */
export async function checkPrepare(options: object): Promise<CheckedPrepare> {
  const given: Given = checkObject('options', options);
  const name = checkInterface(given.interface);
  const queues = checkQueues(given.queues);
  const { flows = [], runtimeDirectory } = given;
  if (runtimeDirectory !== undefined && typeof runtimeDirectory !== 'string') {
    throw invalidArgType('options.runtimeDirectory', 'a string', runtimeDirectory);
  }
  return {
    queues,
    flows: checkEach('options.flows', flows, 'an array of flows', checkFlow),
    link: await findInterface(name),
  };
}
