/** Which fixes of the receive path a release of Linux 6.12 lacks. */
import { type Fix, LEAST_STABLE, missingFixes } from '../../kernel/stable-fixes.js';
import { parseVersion, stableNumber } from '../../kernel-version.js';
import type { KernelFacts } from '../facts/kernel.js';
import type { Part } from '../report.js';

const TABLE = 'docs/kernels.md has the table';
/** How many are told, the latest first. */
const TOLD = 4;

/** Undefined where nothing is known: the list is of 6.12 alone. */
export function stableFixes({ release, canBindRx }: KernelFacts): Part | undefined {
  const version = parseVersion(release);
  if (canBindRx === false || version?.major !== 6 || version.minor !== 12) return undefined;
  const id = 'kernel.stable';
  const missing = missingFixes(release);
  if (missing === undefined) return distributionsOwn(id, release!);
  const stable = stableNumber(release)!;
  if (missing.length === 0) {
    return { id, status: 'ok', title: `Linux 6.12.${stable} has the stable fixes of this path` };
  }
  return {
    id,
    status: 'warning',
    title: `Linux 6.12.${stable} lacks ${count(missing.length)} of this path`,
    why: `${whatHappens(missing)}.`,
    fix: `Boot Linux 6.12.${LEAST_STABLE} or newer (${TABLE}).`,
  };
}

/** Red Hat's, Oracle's, SUSE's: what they took over of the stable releases only they can say. */
function distributionsOwn(id: string, release: string): Part {
  return {
    id,
    status: 'warning',
    title: `Unknown which stable fixes Linux ${release} has`,
    why: `Its distribution mends this kernel itself, and its number does not tell what of the fixes up to 6.12.${LEAST_STABLE} is in it.`,
    fix: `Look for them in the changelog of the kernel's package (${TABLE}).`,
  };
}

function whatHappens(missing: readonly Fix[]): string {
  const told = missing.slice(-TOLD).reverse();
  const sentences = told.map(({ stable, without }) => `${without} (mended in 6.12.${stable})`);
  const rest = missing.length - told.length;
  const more = rest === 0 ? [] : [`and ${count(rest)} more`];
  return capitalized([...sentences, ...more].join('; '));
}

const count = (fixes: number): string => (fixes === 1 ? 'one fix' : `${fixes} fixes`);
const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
