/** Which drivers can receive into device memory, and since when. */
import { atLeast, type Version } from '../../kernel-version.js';

interface Capable {
  /**
   * The first mainline version whose driver has page pools of unreadable memory
   * (PP_FLAG_ALLOW_UNREADABLE_NETMEM); distributions may have it earlier.
   */
  since: Version;
  /** Which of its devices can. */
  only?: string;
}

const DRIVERS: Readonly<Record<string, Capable>> = {
  // cd1fafe7da1f "eth: bnxt: add support rx side device memory TCP"
  bnxt_en: { since: { major: 6, minor: 16 } },
  // "net/mlx5e: Add support for UNREADABLE netmem page pools"
  mlx5_core: { since: { major: 6, minor: 17 }, only: 'ConnectX-7 and newer' },
  // da43127a8edc "eth: fbnic: support queue ops / zero-copy Rx"
  fbnic: { since: { major: 6, minor: 18 } },
  // 62d7f40503bc "gve: support unreadable netmem"
  gve: { since: { major: 6, minor: 18 }, only: 'queues in DQO format' },
};

/** The software NIC of kernel/devmemsim: with any kernel that it can be built for. */
const SIMULATOR = 'devmemsim';

export const CAPABLE_DRIVERS = 'gve, mlx5, bnxt, fbnic, devmemsim';

/**
 * - `able`: the driver can, with this kernel.
 * - `unsure`: some version of it can; it is not the one of this kernel's source.
 * - `too-old`: it can, with a newer kernel.
 * - `unable`: not known to be able.
 */
export type Ability = 'able' | 'unsure' | 'too-old' | 'unable';

export interface DriverAbility {
  ability: Ability;
  /** The version that mainline's driver can since, such as `6.16`. */
  since?: string;
  /** Which of its devices can. */
  only?: string;
}

export function abilityOf(
  driver: string,
  outOfTree: boolean,
  kernel: Version | undefined,
): DriverAbility {
  if (driver === SIMULATOR) return { ability: 'able' };
  if (!Object.hasOwn(DRIVERS, driver)) return { ability: 'unable' };
  const { since, ...only } = DRIVERS[driver]!;
  const known = { since: `${since.major}.${since.minor}`, ...only };
  if (outOfTree || kernel === undefined) return { ability: 'unsure', ...known };
  return { ability: atLeast(kernel, since.major, since.minor) ? 'able' : 'too-old', ...known };
}
