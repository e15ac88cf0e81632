/** Kernel versions. */

export interface Version {
  major: number;
  minor: number;
}

/** The version at the start of a release such as `6.12.117+deb12-cloud-amd64`. */
export function parseVersion(release: string | undefined): Version | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release ?? '');
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

// A fourth number is a distribution's, and has more behind it: 5.15.167.4-microsoft-standard.
const RELEASE =
  /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){1,2}(?:(?:\.\d+(?=-))?[-+_~][\w.+~-]*(?<![-._~]))?$/;

/**
 * Whether somebody could mean a kernel by it: a release as `uname -r` tells it, or a
 * version, and not such as `6.12.x`. Where one is running there is nothing to ask: a kernel
 * that was built by hand may call itself anything.
 */
export function isRelease(text: string): boolean {
  return RELEASE.test(text);
}

/** Whether the version is `major.minor` or newer. */
export function atLeast(version: Version, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}

/**
 * The number of a release among the stable ones of its version: 117 of
 * `6.12.117+deb12-cloud-amd64`, 0 of `6.12.0` and of its candidates.
 *
 * Undefined where the release does not tell. Distributions that mend a kernel of their own
 * count behind a zero that stays: `6.12.0-55.el10.x86_64`, `6.12.0-160000.5-default`.
 */
export function stableNumber(release: string | undefined): number | undefined {
  const match = /^\d+\.\d+(?:\.(\d+))?(.*)$/s.exec(release ?? '');
  if (match === null) return undefined;
  const [, number = '0', rest] = match;
  if (Number(number) === 0 && /^-\d/.test(rest!)) return undefined;
  return Number(number);
}
