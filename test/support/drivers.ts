/**
 * What drivers answer about channels and rules, as their sources in Linux have it
 * (drivers/net/ethernet: NAME_get_channels, NAME_get_rxnfc).
 */
import { constants } from 'node:os';

import { systemError } from '../../dist/errors.js';
import { Struct } from '../../dist/nic/ioctl/bytes.js';
import { encodeInsert, type Rule } from '../../dist/nic/ioctl/rxnfc.js';
import type { Channels } from '../../dist/nic/netlink/channels.js';

const COUNT = 0x2e;
const GET = 0x2f;
const LIST = 0x30;
const CHOOSES = 0x80000000;

type Errno = keyof typeof constants.errno;
type Command = 'count-rules' | 'list-rules' | 'get-rule';

export interface RuleAnswers {
  /** Rules by their locations. */
  rules: ReadonlyMap<number, Rule>;
  /** `data` of the answer to GRXCLSRLCNT, and to GRXCLSRLALL where that has any. */
  counted: number;
  listed: number;
  /** What is said of a place that is empty. */
  empty: Errno;
  /** Commands that are refused. */
  refused?: Partial<Record<Command, Errno>>;
}

/** A driver's get_rxnfc(): takes what src/ts/nic/ioctl asks, and answers in it. */
export function rxnfc(answers: RuleAnswers): (what: string, command: Uint8Array) => void {
  return (what, bytes) => {
    const refused = answers.refused?.[what as Command];
    if (refused !== undefined) throw failure(refused, what);
    const command = new Struct(bytes);
    const locations = [...answers.rules.keys()];
    switch (command.u32(0)) {
      case COUNT:
        command.setU64(8, answers.counted).setU32(184, locations.length);
        return;
      case LIST:
        if (command.u32(184) < locations.length) throw failure('EMSGSIZE', what);
        command.setU64(8, answers.listed).setU32(184, locations.length);
        locations.forEach((location, at) => command.setU32(188 + 4 * at, location));
        return;
      case GET: {
        const rule = answers.rules.get(command.u32(176));
        if (rule === undefined) throw failure(answers.empty, what);
        bytes.set(encodeInsert(rule, command.u32(176)).bytes);
        return;
      }
      default:
        throw failure('EOPNOTSUPP', what);
    }
  };
}

function failure(errno: Errno, what: string): Error {
  return systemError(-constants.errno[errno], `ethtool ${what}`);
}

export interface Driver {
  name: string;
  /** What `ethtool -l` says where there are so many rx queues, of 1024 at most. */
  channels: (queues: number) => Channels;
  /** Which of them are added to. */
  grows: 'combined' | 'rx';
  answers: (rules: ReadonlyMap<number, Rule>) => RuleAnswers;
  /** What listRules() is to make of that. */
  size: (rules: number) => number;
  choosesLocation: boolean;
  /** Entries of the RSS table. */
  table: number;
}

const MOST = 1024;

const shared = (combined: number, rxMax = MOST): Channels => ({
  combined,
  combinedMax: MOST,
  rx: 0,
  rxMax,
});

export const DRIVERS: readonly Driver[] = [
  {
    name: 'bnxt_en, shared rings',
    channels: (queues) => shared(queues),
    grows: 'combined',
    // The list has the number of rules where others have the table's size.
    answers: (rules) => ({
      rules,
      counted: CHOOSES + 8192,
      listed: rules.size,
      empty: 'EINVAL',
    }),
    size: () => 8192,
    choosesLocation: true,
    table: 512,
  },
  {
    name: 'bnxt_en, rings of their own for rx and tx',
    channels: (rx) => ({ combined: 0, combinedMax: MOST, rx, rxMax: MOST }),
    grows: 'rx',
    // As before Linux 6.9: it chooses a place, and does not say so.
    answers: (rules) => ({ rules, counted: 2048, listed: rules.size, empty: 'EINVAL' }),
    size: () => 2048,
    choosesLocation: false,
    table: 128,
  },
  {
    name: 'mlx5_core',
    channels: (queues) => shared(queues, 0),
    grows: 'combined',
    // The count says nothing of the table.
    answers: (rules) => ({ rules, counted: 0, listed: 1024, empty: 'ENOENT' }),
    size: (rules) => (rules < 1024 ? 1024 : 0),
    choosesLocation: false,
    table: 256,
  },
  {
    name: 'gve',
    channels: (rx) => ({ combined: 0, combinedMax: 0, rx, rxMax: MOST }),
    grows: 'rx',
    answers: (rules) => ({ rules, counted: 1024, listed: 1024, empty: 'ENOENT' }),
    size: () => 1024,
    choosesLocation: false,
    table: 128,
  },
  {
    name: 'fbnic, combined and more for rx',
    channels: (queues) => {
      const combined = Math.ceil(queues / 2);
      return { combined, combinedMax: MOST, rx: queues - combined, rxMax: MOST };
    },
    grows: 'combined',
    answers: (rules) => ({ rules, counted: 32, listed: 32, empty: 'EINVAL' }),
    size: () => 32,
    choosesLocation: false,
    table: 256,
  },
  {
    name: 'ice',
    channels: (queues) => shared(queues),
    grows: 'combined',
    answers: (rules) => ({ rules, counted: 16384, listed: 16384, empty: 'EINVAL' }),
    size: () => 16384,
    choosesLocation: false,
    table: 2048,
  },
];
