/** Whether payload gets apart from headers, and connections to the bound queues. */
import type { InterfaceFacts } from '../facts/interfaces.js';
import type { Part } from '../report.js';

const BY_ITSELF = "'devmem-tcp recv' does so by itself, and prepareInterface() for programs:";

export function checkSteering(facts: InterfaceFacts): Part[] {
  return [headerSplit(facts), threshold(facts), ntuple(facts)].filter((part) => part !== undefined);
}

function headerSplit({ rings, name }: InterfaceFacts): Part {
  const id = 'interface.header-split';
  switch (rings?.tcpDataSplit) {
    case 'enabled':
      return { id, status: 'ok', title: 'Header split is on' };
    case 'disabled':
      return {
        id,
        status: 'warning',
        title: 'Header split is off',
        why: 'The kernel needs headers in its own memory; it binds no queue without (EINVAL, on 6.12 ENODATA).',
        fix: `Turn it on. ${BY_ITSELF}`,
        commands: [`ethtool -G ${name} tcp-data-split on`],
      };
    default:
      return {
        id,
        status: 'warning',
        title: 'Unknown whether header split is on',
        why: 'The driver does not tell, or the kernel could not be asked. No queue can be bound without.',
        fix: 'Try to turn it on:',
        commands: [`ethtool -G ${name} tcp-data-split on`],
      };
  }
}

function threshold({ rings, name }: InterfaceFacts): Part | undefined {
  const bytes = rings?.hdsThreshold;
  if (bytes === undefined) return undefined;
  const id = 'interface.hds-thresh';
  if (bytes === 0) return { id, status: 'ok', title: 'Packets of all sizes are split' };
  return {
    id,
    status: 'warning',
    title: `Only packets above ${bytes} bytes are split (hds-thresh)`,
    why: 'The kernel binds no queue unless all are (EINVAL).',
    fix: `Set it to 0. ${BY_ITSELF}`,
    commands: [`ethtool -G ${name} hds-thresh 0`],
  };
}

function ntuple({ ntuple, name }: InterfaceFacts): Part {
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
      fix: `Turn them on. ${BY_ITSELF}`,
      commands: [`ethtool -K ${name} ntuple on`],
    };
  }
  return {
    id,
    status: 'warning',
    title: 'The driver has no flow rules (ntuple)',
    why,
    fix: 'Bind every queue, or let RSS hash to the bound ones alone:',
    commands: [`ethtool -X ${name} start 0 equal 1`],
  };
}
