/** Whether an interface can receive into device memory. */
import { whatToName } from '../../nic/devices.js';
import { printable, shellWord } from '../../nic/quoting.js';
import type { InterfaceFacts, NetworkFacts } from '../facts/interfaces.js';
import type { Finding, Part } from '../report.js';
import type { Version } from '../../kernel-version.js';
import { abilityOf, CAPABLE_DRIVERS } from './drivers.js';
import { checkQueues } from './queues.js';
import { checkSteering } from './steering.js';

export interface InterfaceContext {
  kernel: Version | undefined;
  /** The interface that the user named, if any. */
  asked: string | undefined;
  /** Whether a broker is to bind. */
  byBroker: boolean;
}

export function checkInterfaces(facts: NetworkFacts, context: InterfaceContext): Finding[] {
  const { asked } = context;
  const { interfaces } = facts;
  if (interfaces === undefined) return [unknownInterfaces()];
  const shown = interfaces.filter((each) => asked !== undefined || isHardware(each));
  if (shown.length === 0) return [noHardware(interfaces, asked)];
  return shown.flatMap((each) => checkInterface(each, facts.sysfs, context));
}

// Bridges, tunnels and the like have no device behind them, and no queues to bind.
function isHardware({ parent }: InterfaceFacts): boolean {
  return parent !== undefined;
}

function unknownInterfaces(): Finding {
  return {
    id: 'interface.list',
    area: 'interface',
    status: 'missing',
    title: 'Unknown which network interfaces there are',
    why: 'The kernel did not answer over netlink: a sandbox may forbid the socket.',
    fix: 'Run the doctor outside the sandbox, or allow AF_NETLINK sockets in it.',
  };
}

function noHardware(interfaces: InterfaceFacts[], asked: string | undefined): Finding {
  const others = interfaces.map(({ name }) => printable(name)).join(', ');
  const none = others === '' ? 'only loopback' : `only loopback and virtual ones (${others})`;
  return {
    id: 'interface.list',
    area: 'interface',
    status: 'missing',
    title:
      asked === undefined ? `No network hardware: ${none}` : `No interface '${printable(asked)}'`,
    why: `The payload has to come through a NIC that can put it apart from the headers: ${CAPABLE_DRIVERS}.`,
    fix:
      asked === undefined
        ? "Elsewhere the copy transport serves (bindRx's mode 'auto' or 'copy'); to try the devmem path, run it in the lab's guest, in a clone of the repository:"
        : 'See which interfaces there are in this network namespace:',
    commands: [asked === undefined ? 'npm run demo -- --lab' : 'ip link'],
  };
}

function checkInterface(
  facts: InterfaceFacts,
  sysfs: boolean,
  { kernel, byBroker }: InterfaceContext,
): Finding[] {
  const driver = checkDriver(facts, kernel, sysfs);
  // What cannot receive at all needs no advice on how it is set.
  const others =
    driver.status === 'missing' && (facts.driver !== undefined || facts.parent === undefined)
      ? []
      : [...checkState(facts), ...checkQueues(facts), ...checkSteering(facts, byBroker)];
  return [driver, ...others].map((part) => ({
    area: 'interface',
    interface: facts.name,
    ...part,
  }));
}

function checkDriver(facts: InterfaceFacts, kernel: Version | undefined, sysfs: boolean): Part {
  const { driver, name } = facts;
  const id = 'interface.driver';
  if (facts.parent === undefined) return virtual(facts);
  if (driver === undefined) return unknownDriver(facts, sysfs);
  const { ability, since, only } = abilityOf(driver, facts.outOfTree, kernel);
  const which = only === undefined ? '' : ` (${only})`;
  switch (ability) {
    case 'able':
      return { id, status: 'ok', title: `Driver ${driver} can receive into device memory${which}` };
    case 'unsure':
      return {
        id,
        status: 'warning',
        title: `Driver ${driver} may be able to receive into device memory${which}`,
        why: `Mainline's can since Linux ${since}; this one is from elsewhere, or the kernel's version is unknown.`,
        fix: `See what binding says: bindRx({ interface: '${printable(name)}', mode: 'devmem', … }).`,
      };
    case 'too-old':
      return {
        id,
        status: 'missing',
        title: `Driver ${driver} cannot receive into device memory with this kernel`,
        why: `It receives into device memory since Linux ${since}; before, no queue of it can be bound.`,
        fix: `Boot Linux ${since} or newer.`,
      };
    case 'unable':
      return {
        id,
        status: 'missing',
        title: `Driver ${driver} is not known to receive into device memory`,
        why: `Known to: ${CAPABLE_DRIVERS}. A driver has to split headers from payload, and restart single queues with memory that is not the kernel's.`,
        fix: 'Use a NIC of these. Elsewhere the copy transport serves.',
      };
  }
}

function virtual({ driver, nicsBelow }: InterfaceFacts): Part {
  return {
    id: 'interface.driver',
    status: 'missing',
    title: `No device behind it: a virtual interface${driver === undefined ? '' : ` (${driver})`}`,
    why: 'Only queues of a NIC can be bound; a bridge, VLAN, bond or tunnel has none.',
    fix: `${whatToName(nicsBelow)}.`,
  };
}

function unknownDriver({ name }: InterfaceFacts, sysfs: boolean): Part {
  const id = 'interface.driver';
  return {
    id,
    status: 'missing',
    title: 'Its driver is unknown',
    why: sysfs ? 'No driver has its device.' : 'There is no /sys/class/net here.',
    fix: sysfs
      ? "Load the driver; 'ethtool -i' tells which one an interface has."
      : 'Mount sysfs, or run the doctor outside the sandbox:',
    commands: sysfs ? [`ethtool -i ${shellWord(name)}`] : ['mount -t sysfs sysfs /sys'],
  };
}

function checkState({ state, xdpMode, xdpProgram, name }: InterfaceFacts): Part[] {
  const parts: Part[] = [];
  if (state !== 'up') {
    parts.push({
      id: 'interface.up',
      status: 'missing',
      title: 'It is down',
      why: 'An interface has its queues while it is up.',
      fix: 'Bring it up:',
      commands: [`ip link set dev ${shellWord(name)} up`],
    });
  }
  parts.push(
    xdpProgram === undefined
      ? { id: 'interface.xdp', status: 'ok', title: 'No XDP program in the way' }
      : {
          id: 'interface.xdp',
          status: 'missing',
          title: `An XDP program is attached (${xdpMode ?? 'unknown'} mode)`,
          why: 'XDP reads packets, so the kernel refuses to bind device memory beside it (net/core/devmem.c, EEXIST).',
          fix: 'Take it off, if nobody needs it:',
          commands: [`ip link set dev ${shellWord(name)} ${XDP_OFF[xdpMode ?? 'several']} off`],
        },
  );
  return parts;
}

const XDP_OFF = {
  driver: 'xdpdrv',
  generic: 'xdpgeneric',
  offload: 'xdpoffload',
  several: 'xdp',
} as const;
