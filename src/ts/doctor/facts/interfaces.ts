import { nicsBelow } from '../../nic/devices.js';
import type { Rings } from '../../nic/netlink/ethtool.js';
import { type Feature, HARDWARE_GRO, NTUPLE } from '../../nic/netlink/features.js';
import type { RxQueue } from '../../nic/netlink/netdev.js';
import type { Link } from '../../nic/netlink/link.js';
import type { Machine } from '../machine.js';

export interface InterfaceFacts extends Omit<Link, 'index'> {
  driver: string | undefined;
  /** Whether the driver's module comes from outside the kernel's own source. */
  outOfTree: boolean;
  /** Receive queues that sysfs shows. */
  queueCount: number | undefined;
  /** Receive queues that the driver tells the kernel of. */
  rxQueues: RxQueue[] | undefined;
  rings: Rings | undefined;
  /** Steering by flow rules. */
  ntuple: Feature | undefined;
  /** Merging of packets by the NIC. */
  hardwareGro: Feature | undefined;
  /** Names of the NICs below it. */
  nicsBelow: string[];
}

export interface NetworkFacts {
  /** Those of this network namespace, of loopback only where asked; undefined: unknown. */
  interfaces: InterfaceFacts[] | undefined;
  /** Whether sysfs shows network devices at all. */
  sysfs: boolean;
}

/** @param only - a name of the one interface that matters */
export async function networkFacts(
  machine: Machine,
  only: string | undefined,
): Promise<NetworkFacts> {
  const links = await machine.links();
  const wanted = links?.filter((link) =>
    only === undefined ? !link.loopback : goesBy(link, only),
  );
  const facts = wanted?.map((link) => interfaceFacts(machine, link, links ?? []));
  return {
    interfaces: facts && (await Promise.all(facts)),
    sysfs: machine.files.exists('/sys/class/net'),
  };
}

function goesBy({ name, alternativeNames }: Link, asked: string): boolean {
  return name === asked || alternativeNames.includes(asked);
}

async function interfaceFacts(
  machine: Machine,
  link: Link,
  links: readonly Link[],
): Promise<InterfaceFacts> {
  const { files } = machine;
  const { index, ...rest } = link;
  const { name } = link;
  const driver =
    (await machine.driver(name)) ?? files.target(`/sys/class/net/${name}/device/driver`);
  const [rxQueues, rings, ntuple, hardwareGro] = await Promise.all([
    machine.rxQueues(index),
    machine.rings(name),
    machine.feature(name, NTUPLE),
    machine.feature(name, HARDWARE_GRO),
  ]);
  const queues = files.list(`/sys/class/net/${name}/queues`);
  return {
    ...rest,
    driver,
    outOfTree:
      driver !== undefined && (files.text(`/sys/module/${driver}/taint`) ?? '').includes('O'),
    queueCount: queues?.filter((each) => each.startsWith('rx-')).length,
    rxQueues,
    rings,
    ntuple,
    hardwareGro,
    nicsBelow: nicsBelow(link, links),
  };
}
