/** Looks at a machine, and says what a devmem receive would lack. */
import { checkObject, invalidArgType } from '../errors.js';
import { checkInterface } from '../nic/interface-arguments.js';
import { checkInterfaces } from './checks/interfaces.js';
import { checkKernel } from './checks/kernel.js';
import { checkMemory } from './checks/memory.js';
import { checkPrivilege } from './checks/privilege.js';
import { checkTopology } from './checks/topology.js';
import { networkFacts } from './facts/interfaces.js';
import { kernelFacts } from './facts/kernel.js';
import { privilegeFacts } from './facts/privilege.js';
import { topologyFacts } from './facts/topology.js';
import { type Machine, thisMachine } from './machine.js';
import type { Finding, Report } from './report.js';
import { parseVersion } from '../kernel-version.js';

/** Options of `diagnose()`. */
export interface DiagnoseOptions {
  /** The one interface to look at, by any of its names; default: all that are hardware. */
  interface?: string;
  /** The socket of a broker that is to bind, in place of this process. */
  broker?: string;
}

/**
 * Tells whether a devmem receive could work on this machine, by this process, and
 * what is missing or in its way. Changes nothing, binds nothing, needs no
 * privilege; what cannot be read is a finding that says so, not an error.
 *
 * @throws TypeError for options that are no strings, and for what no interface is called
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<Report> {
  checkObject('options', options);
  const { interface: name, broker }: { interface?: unknown; broker?: unknown } = options;
  if (name !== undefined) checkInterface(name);
  if (broker !== undefined && typeof broker !== 'string') {
    throw invalidArgType('options.broker', 'a string', broker);
  }
  return examine(thisMachine(), options);
}

/** The same for any machine. */
export async function examine(machine: Machine, options: DiagnoseOptions): Promise<Report> {
  const { files, platform } = machine;
  const kernel = await kernelFacts(machine);
  if (platform !== 'linux') return report(kernel.release, checkKernel(kernel));
  const version = parseVersion(kernel.release);
  const network = await networkFacts(machine, options.interface);
  const interfaces = checkInterfaces(network, {
    kernel: version,
    asked: options.interface,
    byBroker: options.broker !== undefined,
  });
  const names = network.interfaces?.map(({ name }) => name) ?? [];
  const capable = capableInterfaces(interfaces);
  const probes = await machine.memory();
  const nvidia = files.exists('/proc/driver/nvidia/version');
  return report(kernel.release, [
    ...checkKernel(kernel, capable[0]),
    ...interfaces,
    ...checkMemory({ probes, nvidia }, kernel.config),
    ...checkTopology(topologyFacts(files, names), capable),
    ...checkPrivilege(await privilegeFacts(machine, options.broker), version),
  ]);
}

function report(kernel: string | undefined, findings: Finding[]): Report {
  const interfaces = capableInterfaces(findings);
  // One interface is enough; of everything else all must be there.
  const others = findings.filter(({ area }) => area !== 'interface');
  const ready = interfaces.length > 0 && others.every(({ status }) => status !== 'missing');
  return { ready, kernel, interfaces, findings };
}

/** The interfaces of which nothing is missing, those with the fewest warnings first. */
function capableInterfaces(findings: readonly Finding[]): string[] {
  const names = [...new Set(findings.map((each) => each.interface))].filter(
    (name) => name !== undefined,
  );
  const count = (name: string, status: Finding['status']): number =>
    findings.filter((each) => each.interface === name && each.status === status).length;
  return names
    .filter((name) => count(name, 'missing') === 0)
    .sort((a, b) => count(a, 'warning') - count(b, 'warning'));
}
