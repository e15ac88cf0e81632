// @ts-check
// Part of `npm run release:version`: has the sources tell the version that package.json has.
import { fileURLToPath } from 'node:url';

import { writeVersion } from './version.mjs';

writeVersion(fileURLToPath(new URL('../..', import.meta.url)));
