// @ts-check
/** What a fragment costs in this package's own code, by the piece. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { compile } from '../lib/compile.mjs';
import { parseJson } from '../lib/json.mjs';
import { median, pairedRatio } from '../lib/statistics.mjs';
import { compileMemcpy } from '../peer/memcpy.mjs';

/** @typedef {Record<string, number[]>} Samples */
/** @typedef {{ small: number, large: number, perFragment: number }} HeapUse */
/** @typedef {Samples & { allocations: number, allocationFragments: number }} NativeSamples */

const execute = promisify(execFile);
const script = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));

// Fragments of each sample of the whole path, by the size of its batches.
const PATHS = { 64: 2 ** 18, 256: 2 ** 19, 1024: 2 ** 20 };

/**
 * @param {{ quick: boolean, note: (text: string) => void }} options
 * @returns {Promise<import('../lib/report.mjs').Outcome>}
 */
export async function micro({ quick, note }) {
  const rounds = quick ? 7 : 41;
  note('JavaScript, batches of 64');
  const javascript = /** @type {Samples} */ (await node([script('javascript.mjs'), rounds]));
  note('JavaScript, its heap');
  const heap = /** @type {{ near: HeapUse, far: HeapUse }} */ (
    await node([
      '--expose-gc',
      '--min-semi-space-size=256',
      '--max-semi-space-size=256',
      script('heap.mjs'),
    ])
  );
  note('C++');
  const native = /** @type {NativeSamples} */ (await run(compileNative(), [rounds]));
  const paths = await measurePaths(quick, note);
  const [warm, cold] = await measureGathering(quick, note);
  return {
    figures: {
      ...javascriptFigures(javascript),
      fragIterVsEmptyIter: pairedRatio(javascript.fragIter ?? [], javascript.emptyIter ?? []),
      parseNs: median(native.parse ?? []),
      fillAndReleaseNs: median(native.fillAndRelease ?? []),
      returnTokensNs: median(native.returnInOrder ?? []),
      returnTokensShuffledNs: median(native.returnShuffled ?? []),
      ...pathFigures(paths),
      ...gatherFigures('', warm),
      ...gatherFigures('Cold', cold),
      allocationsPerFragment: native.allocations / native.allocationFragments,
      heapBytesPerFragment: heap.near.perFragment,
      heapBytesPerBatch: heap.near.small,
      heapBytesPerFragmentFar: heap.far.perFragment,
    },
    samples: { javascript, native, heap, paths, gathering: { warm, cold } },
  };
}

/** @param {Samples} samples */
function javascriptFigures(samples) {
  /** @type {Record<string, number>} */
  const figures = {};
  for (const [name, values] of Object.entries(samples)) {
    figures[`${name}Ns`] = median(values);
    if (name !== 'emptyLoop') {
      figures[`${name}VsEmptyLoop`] = pairedRatio(values, samples.emptyLoop ?? []);
    }
  }
  return figures;
}

/**
 * @param {string} which in the figures' names
 * @param {Samples} samples
 */
function gatherFigures(which, { take = [], gather = [], memcpy = [] }) {
  const both = take.map((ns, index) => ns + (gather[index] ?? NaN));
  return {
    [`gather${which}VsMemcpy`]: pairedRatio(both, memcpy),
    [`take${which}NsPerByte`]: median(take),
    [`gather${which}NsPerByte`]: median(gather),
    [`memcpy${which}NsPerByte`]: median(memcpy),
  };
}

/** @param {Record<string, Samples>} paths */
function pathFigures(paths) {
  /** @type {Record<string, number>} */
  const figures = {};
  for (const [batch, samples] of Object.entries(paths)) {
    figures[`pathBatches${batch}Ns`] = median(samples.batches ?? []);
    figures[`pathFragments${batch}Ns`] = median(samples.fragments ?? []);
  }
  figures.releaseNs = median(paths[64]?.release ?? []);
  figures.releaseShuffledNs = median(paths[64]?.releaseShuffled ?? []);
  return figures;
}

/**
 * @param {boolean} quick
 * @param {(text: string) => void} note
 * @returns {Promise<[warm: Samples, cold: Samples]>}
 */
async function measureGathering(quick, note) {
  const memcpy = compileMemcpy();
  /** @param {string[]} options */
  const measured = async (...options) =>
    /** @type {Samples} */ (
      await node([script('gather.mjs'), memcpy, quick ? 100 : 1000, ...options])
    );
  note('to one place');
  const warm = await measured();
  note('to one place, from no cache');
  return [warm, await measured('cold')];
}

/**
 * @param {boolean} quick
 * @param {(text: string) => void} note
 */
async function measurePaths(quick, note) {
  const [rounds, share] = quick ? [3, 8] : [15, 1];
  const kernel = compile('kernel.so', ['bench/micro/kernel.c']);
  /** @type {Record<string, Samples>} */
  const paths = {};
  for (const [batch, fragments] of Object.entries(PATHS)) {
    note(`from the wake to the release, batches of ${batch}`);
    const env = { LD_PRELOAD: kernel, BENCH_BATCH: batch, BENCH_FRAGS: String(fragments / share) };
    paths[batch] = /** @type {Samples} */ (await node([script('path.mjs'), rounds], env));
  }
  return paths;
}

function compileNative() {
  const parts = ['cmsg_transport', 'copy_arena', 'pool', 'records', 'scratch', 'token_ranges'];
  const sources = [
    'bench/micro/native.cc',
    ...parts.map((name) => `src/native/receive/${name}.cc`),
  ];
  return compile('native', sources, ['-fno-exceptions', '-Isrc/native']);
}

/**
 * @param {(string | number)[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
const node = (args, env) => run(process.execPath, args, env);

/**
 * Runs a program that prints JSON.
 * @param {string} program
 * @param {(string | number)[]} args
 * @param {NodeJS.ProcessEnv} [env] besides this process's own
 * @returns {Promise<unknown>}
 */
async function run(program, args, env = {}) {
  const options = { env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
  const { stdout } = await execute(program, args.map(String), options);
  return parseJson(stdout);
}
