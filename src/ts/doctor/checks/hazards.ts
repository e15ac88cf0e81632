/** What takes a machine down where its kernel is not patched; first among the findings. */
import { printable, singleQuoted } from '../../nic/quoting.js';
import type { KernelFacts } from '../facts/kernel.js';
import type { Part } from '../report.js';

/** @param name - an interface that could receive, for commands to name */
export function hazards(facts: KernelFacts, name: string): Part[] {
  return facts.canBindRx === false ? [] : [urgentData(facts, name), packetSockets(facts)];
}

function urgentData({ urgentFixed }: KernelFacts, name: string): Part {
  const id = 'kernel.urgent-data';
  if (urgentFixed === true) {
    return { id, status: 'ok', title: 'Urgent data in device memory does no harm (patched)' };
  }
  return {
    id,
    status: 'warning',
    title: 'A peer can panic this kernel with one segment of urgent data',
    why: 'tcp_urg() reads the urgent byte, and BUG()s where it lies in device memory (all of mainline, up to at least 7.3): whoever can reach a bound queue can take the machine down.',
    fix: "Boot a kernel with the patches that 'devmem-tcp kernel' names, or let only peers that you trust reach bound queues, or drop such segments before TCP sees them:",
    commands: [dropUrgentData(name)],
  };
}

/** The command that keeps urgent data away from an interface; in lines that fit a terminal. */
export function dropUrgentData(interfaceName: string): string {
  // nft has no way to write a quote in a string, nor a terminal to show what controls it.
  const writable = !interfaceName.includes('"') && printable(interfaceName) === interfaceName;
  const rules = [
    'table netdev devmem { chain ingress {',
    `  type filter hook ingress device "${writable ? interfaceName : 'IF'}" priority 0;`,
    '  tcp flags & urg == urg counter drop; }; }',
  ];
  return `nft ${singleQuoted(rules.join('\n'))}`;
}

function packetSockets({ copiesOfPackets, packetSockets: open = 0 }: KernelFacts): Part {
  const id = 'kernel.packet-sockets';
  if (copiesOfPackets === 'no harm') {
    return { id, status: 'ok', title: 'Packet sockets (tcpdump) do no harm beside device memory' };
  }
  const now = open === 0 ? '' : `, and ${howMany(open)} open`;
  return {
    id,
    status: 'warning',
    ...(copiesOfPackets === 'overwrite' ? overwriting(now) : panicking(now)),
    fix: "Boot a kernel with the patches that 'devmem-tcp kernel' names, or have none open in the network namespace of a bound interface; these are:",
    commands: ['ss --packet --processes'],
  };
}

const panicking = (now: string): Words => ({
  title: `A packet socket (tcpdump, a DHCP client, LLDP) can panic this kernel${now}`,
  why: 'packet_rcv() trims packets that TCP has too, for which pskb_expand_head() takes device memory for pages (Linux 6.12): a stream that comes into device memory meanwhile takes the machine down.',
});

const overwriting = (now: string): Words => ({
  title: `A copy of a packet (tc mirred, a packet socket) can cost a stream its bytes${now}`,
  why: 'Where a packet is copied and its header rewritten, as by a firewall, pskb_expand_head() keeps the dma-buf and not the place in it (get_netmem()): the NIC writes over payload that TCP has not handed out yet, and the kernel WARNs when that is given back.',
});

interface Words {
  title: string;
  why: string;
}

const howMany = (sockets: number): string => (sockets === 1 ? 'one is' : `${sockets} are`);
