/** The package's version, where package.json is not at hand: in a bundle. */

/** Written by scripts/release/write-version.mjs; the addon has the same (src/native/version.h). */
export const VERSION = '0.1.0';
