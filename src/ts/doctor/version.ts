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

/** Whether the version is `major.minor` or newer. */
export function atLeast(version: Version, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}
