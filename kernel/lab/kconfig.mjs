// @ts-check
/** A kernel's configuration, put together from fragments and held against what came of them. */

/** @typedef {Map<string, string>} Configuration symbol -> value as in .config, 'n' where it is not set */

/**
 * @param {readonly string[]} fragments texts; a later one overrides an earlier one
 * @returns {Configuration}
 */
export function mergeFragments(fragments) {
  /** @type {Configuration} */
  const merged = new Map();
  for (const line of fragments.join('\n').split('\n')) {
    const [, symbol, value] = /^CONFIG_(\w+)=(.+)$/.exec(line) ?? [];
    const [, unset] = /^# CONFIG_(\w+) is not set$/.exec(line) ?? [];
    if (symbol !== undefined && value !== undefined) merged.set(symbol, value);
    if (unset !== undefined) merged.set(unset, 'n');
  }
  return merged;
}

/**
 * @param {Configuration} configuration
 * @returns {string} for KCONFIG_ALLCONFIG; the same for the same content, whichever fragment said what
 */
export const renderConfiguration = (configuration) =>
  [...configuration]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([symbol, value]) =>
      value === 'n' ? `# CONFIG_${symbol} is not set\n` : `CONFIG_${symbol}=${value}\n`,
    )
    .join('');

/**
 * Kconfig drops without a word what does not exist or whose dependencies are missing.
 *
 * @param {Configuration} wanted
 * @param {string} dotConfig what kconfig made of it
 * @returns {string[]} a line for each symbol that came out otherwise
 */
export function differences(wanted, dotConfig) {
  const actual = mergeFragments([dotConfig]);
  return [...wanted]
    .filter(([symbol, value]) => (actual.get(symbol) ?? 'n') !== value)
    .map(([symbol, value]) => {
      const found = actual.get(symbol) ?? 'n, or there is no such symbol';
      return `CONFIG_${symbol} should be ${value}, but is ${found}`;
    });
}
