// @ts-check
/**
 * package.json as the tarball has it: without `prepare`, which npm would otherwise ask
 * about, or warn of, wherever the tarball is installed. Back again afterwards.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const MANIFEST = path.join(root, 'package.json');
const ORIGINAL = path.join(root, '.package.json.original');

export function shipManifest() {
  const text = readFileSync(MANIFEST, 'utf8');
  const shipped = text.replace(/^ +"prepare": .*\n/m, '');
  if (shipped === text) {
    throw new Error("package.json lacks 'prepare', as after an 'npm pack' that was cut short");
  }
  writeFileSync(ORIGINAL, text);
  writeFileSync(MANIFEST, shipped);
}

export function restoreManifest() {
  if (existsSync(ORIGINAL)) renameSync(ORIGINAL, MANIFEST);
}
