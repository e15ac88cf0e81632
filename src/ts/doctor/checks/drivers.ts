/** Which drivers can receive into device memory, and since when. */
import { atLeast, type Version } from '../version.js';

/** Since about which mainline version; distributions may have it earlier. */
const SINCE: Readonly<Record<string, Version>> = {
  bnxt_en: { major: 6, minor: 16 },
  mlx5_core: { major: 6, minor: 17 },
  fbnic: { major: 6, minor: 18 },
  gve: { major: 6, minor: 18 },
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

export function abilityOf(
  driver: string,
  outOfTree: boolean,
  kernel: Version | undefined,
): { ability: Ability; since?: string } {
  if (driver === SIMULATOR) return { ability: 'able' };
  if (!Object.hasOwn(SINCE, driver)) return { ability: 'unable' };
  const { major, minor } = SINCE[driver]!;
  const since = `${major}.${minor}`;
  if (outOfTree || kernel === undefined) return { ability: 'unsure', since };
  return { ability: atLeast(kernel, major, minor) ? 'able' : 'too-old', since };
}
