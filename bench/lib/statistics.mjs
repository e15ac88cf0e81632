// @ts-check
/** The few statistics that samples need: all of them robust against outliers. */

/**
 * @param {readonly number[]} values
 * @param {number} q 0..1
 */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** @param {readonly number[]} values */
export const median = (values) => quantile(values, 0.5);

/**
 * Half the distance between the quartiles, relative to the median: how far apart
 * samples lie.
 * @param {readonly number[]} values
 */
export const spread = (values) =>
  (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median(values);

/**
 * The median of the ratios of samples that were taken one after the other: what made
 * the machine slow for one of a pair made it slow for the other.
 * @param {readonly number[]} values
 * @param {readonly number[]} reference
 */
export function pairedRatio(values, reference) {
  return median(values.map((value, index) => value / (reference[index] ?? NaN)));
}
