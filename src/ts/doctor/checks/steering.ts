/** Whether payload gets apart from headers, and connections to the bound queues. */
import { shellWord } from '../../nic/quoting.js';
import type { InterfaceFacts } from '../facts/interfaces.js';
import type { Part, Status } from '../report.js';

const BY_ITSELF = "'devmem-tcp recv' does so by itself, and prepareInterface() for programs:";
const BY_ADMINISTRATOR = 'A broker binds only: somebody with CAP_NET_ADMIN has to do it before:';
const OLD_ETHTOOL = "(Where ethtool does not know the option, use 'devmem-tcp nic apply'.)";

// The mlx5 driver splits headers where it merges packets in hardware.
const MERGING_DRIVER = 'mlx5_core';

/** @param byBroker - nobody here may change the settings, so that they have to be right */
export function checkSteering(facts: InterfaceFacts, byBroker: boolean): Part[] {
  const mending: Mending = byBroker
    ? { status: 'missing', how: BY_ADMINISTRATOR }
    : { status: 'warning', how: BY_ITSELF };
  return [
    headerSplit(facts, mending),
    threshold(facts, mending),
    hardwareGro(facts),
    ntuple(facts, mending),
  ].filter((part) => part !== undefined);
}

/** How bad it is that a setting is wrong, and who mends it. */
interface Mending {
  status: Status;
  how: string;
}

function headerSplit({ rings, name }: InterfaceFacts, { status, how }: Mending): Part {
  const id = 'interface.header-split';
  const commands = [`ethtool -G ${shellWord(name)} tcp-data-split on`];
  switch (rings?.tcpDataSplit) {
    case 'enabled':
      return { id, status: 'ok', title: 'Header split is on' };
    case 'disabled':
      return {
        id,
        status,
        title: 'Header split is off',
        why: 'The kernel needs headers in its own memory; it binds no queue without (EINVAL, on 6.12 ENODATA).',
        fix: `Turn it on. ${OLD_ETHTOOL} ${how}`,
        commands,
      };
    default:
      return {
        id,
        status: 'warning',
        title: 'Unknown whether header split is on',
        why: 'The driver does not tell, or the kernel could not be asked. No queue can be bound without.',
        fix: `Try to turn it on. ${OLD_ETHTOOL}`,
        commands,
      };
  }
}

function threshold({ rings, name }: InterfaceFacts, { status, how }: Mending): Part | undefined {
  const bytes = rings?.hdsThreshold;
  if (bytes === undefined) return undefined;
  const id = 'interface.hds-thresh';
  if (bytes === 0) return { id, status: 'ok', title: 'Packets of all sizes are split' };
  return {
    id,
    status,
    title: `Only packets above ${bytes} bytes are split (hds-thresh)`,
    why: 'The kernel binds no queue unless all are (EINVAL).',
    fix: `Set it to 0. ${OLD_ETHTOOL} ${how}`,
    commands: [`ethtool -G ${shellWord(name)} hds-thresh 0`],
  };
}

function hardwareGro({ driver, hardwareGro, name }: InterfaceFacts): Part | undefined {
  if (driver !== MERGING_DRIVER || hardwareGro?.active !== false) return undefined;
  return {
    id: 'interface.hw-gro',
    status: 'warning',
    title: 'Merging of packets in hardware (rx-gro-hw) is off',
    why: `${driver} splits headers only with it, and refuses to turn header split on without.`,
    fix: 'Turn it on; neither recv nor prepareInterface() does:',
    commands: [`ethtool -K ${shellWord(name)} rx-gro-hw on`],
  };
}

function ntuple({ ntuple, name }: InterfaceFacts, { how }: Mending): Part {
  const id = 'interface.ntuple';
  const why =
    'Connections get to a bound queue by flow rules; those on other queues arrive copied.';
  if (ntuple === undefined) {
    return { id, status: 'warning', title: 'Unknown whether it has flow rules (ntuple)', why };
  }
  if (ntuple.active) return { id, status: 'ok', title: 'Flow rules (ntuple) are on' };
  if (ntuple.changeable) {
    return {
      id,
      status: 'warning',
      title: 'Flow rules (ntuple) are off',
      why,
      fix: `Turn them on. ${how}`,
      commands: [`ethtool -K ${shellWord(name)} ntuple on`],
    };
  }
  return {
    id,
    status: 'warning',
    title: 'The driver has no flow rules (ntuple)',
    why,
    fix: 'Bind every queue, or let RSS hash to the bound ones alone:',
    commands: [`ethtool -X ${shellWord(name)} start 0 equal 1`],
  };
}
