// @ts-check
/** JSON between the programs of a benchmark, and in its results. */
import { readFileSync, writeFileSync } from 'node:fs';

// No measurement here has more digits than that.
const DIGITS = 5;

/**
 * @param {string} text
 * @returns {unknown}
 */
export function parseJson(text) {
  const value = /** @type {unknown} */ (JSON.parse(text));
  return value;
}

/** @param {string} file */
export const readJson = (file) => parseJson(readFileSync(file, 'utf8'));

/**
 * @param {string} file
 * @param {unknown} value
 */
export function writeJson(file, value) {
  writeFileSync(file, `${stringify(value, '')}\n`);
}

/**
 * As JSON.stringify, with arrays of numbers on one line.
 * @param {unknown} value
 * @param {string} indent
 * @returns {string}
 */
function stringify(value, indent) {
  if (value === null || typeof value !== 'object') return JSON.stringify(rounded(value));
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const items = /** @type {unknown[]} */ (value);
    if (items.every((each) => typeof each !== 'object')) return JSON.stringify(items.map(rounded));
    return `[\n${items.map((each) => inner + stringify(each, inner)).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  if (entries.length === 0) return '{}';
  const rows = entries.map(
    ([key, each]) => `${inner}${JSON.stringify(key)}: ${stringify(each, inner)}`,
  );
  return `{\n${rows.join(',\n')}\n${indent}}`;
}

/** @param {unknown} value */
function rounded(value) {
  const exact = typeof value !== 'number' || Number.isInteger(value) || !Number.isFinite(value);
  return exact ? value : Number(value.toPrecision(DIGITS));
}
