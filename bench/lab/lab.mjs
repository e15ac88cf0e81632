// @ts-check
/**
 * The real devmem path, in the lab's guest. Emulated code is several times slower than
 * this machine: what is compared is compared inside one guest.
 */
import { ensureNcdevmem } from '../../kernel/lab/ncdevmem.mjs';
import { createReporter } from '../../kernel/lab/report.mjs';
import { compile } from '../lib/compile.mjs';
import { median, pairedRatio } from '../lib/statistics.mjs';
import { compileMemcpy } from '../peer/memcpy.mjs';
import { compileSource } from '../peer/source.mjs';
import { rate as zcrxRate, ratio, runTransports } from './compare.mjs';
import { runInGuest } from './guest.mjs';

/** @typedef {import('./streams.mjs').Plan} Plan */
/** @typedef {import('./streams.mjs').Sample} Sample */
/** @typedef {Record<string, Sample[]>} Samples */
/** @typedef {{ kernel: string, results: { mtu: number, connections: number, samples: Samples }[] }} Streams */
/** @typedef {{ devmem: number[], netSocket: number[] }} ColdStarts milliseconds */
/**
 * ns a byte, and how many runs there were
 * @typedef {Record<'take' | 'gather' | 'sync' | 'release' | 'memcpy' | 'readInto' | 'runs', number[]>} Gathering
 */
/** @typedef {{ ncdevmem: number[], batches: number[] }} Interop MiB/s */

const MiB = 2 ** 20;
// What is gathered at a time. Where more is held, the kernel's list of the memory's pieces is
// what takes the time (docs/memory.md).
const GATHERED_MIB = 2;

/**
 * @param {{ quick: boolean, note: (text: string) => void }} options
 * @returns {Promise<import('../lib/report.mjs').Outcome>}
 */
export async function lab({ quick, note }) {
  const programs = {
    source: compileSource(),
    receiver: compile('receiver', ['bench/lab/receiver.c']),
  };
  note('streams');
  const streams = await runStreams({
    ...programs,
    memoryMiB: 256,
    contenders: ['c', 'cBlocking', 'batches', 'fragments'],
    settings: [1500, 9000].flatMap((mtu) =>
      [1, 4].map((connections) => ({
        mtu,
        connections,
        MiB: quick ? 64 : 192,
        rounds: quick ? 2 : 5,
        // Emulated, and beside a sender, a compiler takes its time: 2 GiB or so.
        warmUps: quick || mtu === 9000 ? 1 : connections > 1 ? 4 : 8,
      })),
    ),
  });
  note('streams again, where time is counted in instructions');
  const counted = await runStreams(
    {
      ...programs,
      memoryMiB: 256,
      contenders: ['c', 'batches', 'fragments', 'cMarked', 'batchesMarked'],
      settings: [
        {
          mtu: 1500,
          connections: 1,
          MiB: quick ? 64 : 256,
          rounds: quick ? 2 : 5,
          warmUps: quick ? 1 : 9,
        },
      ],
    },
    { icount: true },
  );
  note('cold starts');
  const cold = /** @type {ColdStarts} */ (
    await runInGuest('cold.mjs', [programs.source, quick ? '3' : '7'])
  );
  note('to contiguous memory');
  const gathering = await runGather(programs.source, quick ? 20 : 200);
  const gatheringCounted = await runGather(programs.source, quick ? 5 : 40, {
    icount: true,
  });
  note("the kernel's own ncdevmem");
  const program = await ensureNcdevmem(createReporter());
  const ncdevmem = /** @type {Interop} */ (
    await runInGuest('ncdevmem.mjs', [
      programs.source,
      program,
      quick ? '16' : '64',
      quick ? '2' : '5',
    ])
  );
  note('by io_uring, on a kernel that has it');
  const zcrx = await runTransports(
    {
      contenders: ['zcrxC', 'zcrx'],
      settings: [1500, 9000].flatMap((mtu) =>
        [1, 4].map((connections) => ({
          ...{ mtu, connections, holds: false },
          MiB: quick ? 64 : 192,
          rounds: quick ? 2 : 5,
          warmUps: quick || mtu === 9000 ? 1 : connections > 1 ? 4 : 8,
        })),
      ),
    },
    { kernel: 'debian-7' },
  );
  return {
    figures: {
      ...mainFigures(streams, counted),
      zcrxBatchVsC: ratio(zcrx, 'zcrx', 'zcrxC', zcrxRate),
      vsNcdevmem: pairedRatio(ncdevmem.batches, ncdevmem.ncdevmem),
      ncdevmemMiBps: median(ncdevmem.ncdevmem),
      ...settingFigures(streams),
      ...gatherFigures(gathering),
      ...countedFigures(gatheringCounted),
      coldStartMs: median(cold.devmem),
      coldStartMsNetSocket: median(cold.netSocket),
    },
    samples: {
      streams,
      counted,
      cold,
      gathering,
      gatheringCounted,
      ncdevmem,
      zcrx,
    },
  };
}

/**
 * @param {Plan} plan
 * @param {Partial<import('../../kernel/lab/run.mjs').RunOptions>} [options]
 */
async function runStreams(plan, options) {
  const args = [JSON.stringify(plan)];
  return /** @type {Streams} */ (await runInGuest('streams.mjs', args, options));
}

/** @param {Sample} sample */
const rate = ({ bytes, seconds }) => bytes / MiB / seconds;
/** @param {Sample} sample microseconds of CPU a fragment */
const cpu = ({ frags, user, system }) => ((user + system) * 1e6) / frags;
/** @param {Sample} sample */
const fragsPerReturnCall = ({ frags, returnCalls }) => frags / returnCalls;
/** @param {Sample} sample */
const callsPerMiB = ({ bytes, receiveCalls, returnCalls, waitCalls }) =>
  ((receiveCalls + returnCalls + waitCalls) * MiB) / bytes;

/**
 * @param {string} source program
 * @param {number} rounds
 * @param {Partial<import('../../kernel/lab/run.mjs').RunOptions>} [options]
 */
async function runGather(source, rounds, options) {
  const args = [source, compileMemcpy(), String(GATHERED_MIB), String(rounds)];
  return /** @type {Gathering} */ (await runInGuest('gather.mjs', args, options));
}

/** @param {Gathering} samples where a nanosecond is an instruction */
function countedFigures(samples) {
  const { gatherVsMemcpy, takeNsPerByte, gatherNsPerByte, memcpyNsPerByte } =
    gatherFigures(samples);
  return {
    gatherCountedVsMemcpy: gatherVsMemcpy,
    takeInstructionsPerByte: takeNsPerByte,
    gatherInstructionsPerByte: gatherNsPerByte,
    memcpyInstructionsPerByte: memcpyNsPerByte,
  };
}

/** @param {Gathering} samples */
function gatherFigures({ take, gather, sync, release, memcpy, readInto, runs }) {
  const both = take.map((ns, index) => ns + (gather[index] ?? NaN));
  return {
    gatherVsMemcpy: pairedRatio(both, memcpy),
    gatherAloneVsMemcpy: pairedRatio(gather, memcpy),
    takeNsPerByte: median(take),
    gatherNsPerByte: median(gather),
    gatherSyncNsPerByte: median(sync),
    gatherReleaseNsPerByte: median(release),
    memcpyNsPerByte: median(memcpy),
    readIntoNsPerByte: median(readInto),
    gatherRuns: median(runs),
  };
}

/**
 * The figures that have targets.
 * @param {Streams} streams
 * @param {Streams} counted
 */
function mainFigures(streams, counted) {
  const all = (/** @type {string} */ name) =>
    streams.results.flatMap(({ samples }) => samples[name] ?? []);
  // With one connection the receiver keeps up: there is never more to give back.
  const underLoad = (/** @type {string} */ name) =>
    streams.results.flatMap(({ connections, samples }) =>
      connections > 1 ? (samples[name] ?? []) : [],
    );
  const [instructions] = counted.results;
  const { c = [], batches = [], fragments = [] } = instructions?.samples ?? {};
  const { cMarked = [], batchesMarked = [] } = instructions?.samples ?? {};
  return {
    batchVsC: pairedRatio(all('batches').map(rate), all('c').map(rate)),
    fragmentsVsC: pairedRatio(all('fragments').map(rate), all('c').map(rate)),
    cpuVsC: pairedRatio(batches.map(cpu), c.map(cpu)),
    cpuVsCTwoCpus: pairedRatio(all('batches').map(cpu), all('c').map(cpu)),
    cpuVsCFragments: pairedRatio(fragments.map(cpu), c.map(cpu)),
    cpuVsCMarked: pairedRatio(batchesMarked.map(cpu), cMarked.map(cpu)),
    cpuMarkedVsUnmarked: pairedRatio(batchesMarked.map(cpu), batches.map(cpu)),
    fragsPerReturnCall: median(underLoad('batches').map(fragsPerReturnCall)),
    fragsPerReturnCallC: median(underLoad('c').map(fragsPerReturnCall)),
    fragsPerReturnCallAll: median(all('batches').map(fragsPerReturnCall)),
  };
}

/**
 * By MTU and number of connections.
 * @param {Streams} streams
 */
function settingFigures({ results }) {
  /** @type {Record<string, number>} */
  const figures = {};
  for (const { mtu, connections, samples } of results) {
    for (const [name, values] of Object.entries(samples)) {
      const prefix = `${name}Mtu${mtu}x${connections}`;
      figures[`${prefix}MiBps`] = median(values.map(rate));
      figures[`${prefix}FragsPerS`] = median(values.map(({ frags, seconds }) => frags / seconds));
      figures[`${prefix}UserUs`] = median(values.map(({ user, frags }) => (user * 1e6) / frags));
      figures[`${prefix}SystemUs`] = median(
        values.map(({ system, frags }) => (system * 1e6) / frags),
      );
      figures[`${prefix}CallsPerMiB`] = median(values.map(callsPerMiB));
    }
  }
  return figures;
}
