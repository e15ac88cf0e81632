/** What package.json says of this package. */
import { readFile } from 'node:fs/promises';

import { packageFile } from '../package-files.js';

export interface Manifest {
  version: string;
  /** Where its source is; whoever publishes the package fills it in. */
  repository?: { url: string };
}

export async function readManifest(): Promise<Manifest> {
  const text = await readFile(packageFile('package.json'), 'utf8');
  return JSON.parse(text) as Manifest;
}

/** Why there is no lab where the package was installed, and how to come by it. */
export function labNeedsClone({ repository }: Manifest): string {
  const url = repository?.url.replace(/^git\+/, '');
  const clone = url === undefined ? '' : ` ('git clone ${url}')`;
  return `the lab is no part of the installed package: it boots a kernel around a clone of the repository${clone}. In the clone it is 'npm run lab -- COMMAND', or 'npm run demo -- --lab'`;
}
