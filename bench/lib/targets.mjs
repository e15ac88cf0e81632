// @ts-check
/** What the figures have to reach, and what they mean. */

/**
 * @typedef {object} Target
 * @property {string} key    SUITE.NAME, as in the results
 * @property {'atLeast' | 'atMost'} holds
 * @property {number} limit
 * @property {string} what   in words, with its unit
 */

/** @type {readonly Target[]} */
export const TARGETS = [
  {
    key: 'lab.batchVsC',
    holds: 'atLeast',
    limit: 0.97,
    what: "throughput of batches, of the C receiver's",
  },
  {
    key: 'lab.cpuVsC',
    holds: 'atMost',
    limit: 1.1,
    what: "CPU per fragment of batches, of the C receiver's",
  },
  {
    key: 'lab.fragsPerReturnCall',
    holds: 'atLeast',
    limit: 64,
    what: 'fragments given back per system call, under load',
  },
  {
    key: 'lab.gatherVsMemcpy',
    holds: 'atMost',
    limit: 1.1,
    what: "ns a byte of taking and copying what has arrived, of memcpy's of the same runs in C",
  },
  {
    key: 'lab.vsNcdevmem',
    holds: 'atLeast',
    limit: 1,
    what: "throughput of batches, of ncdevmem's",
  },
  {
    key: 'lab.zcrxBatchVsC',
    holds: 'atLeast',
    limit: 0.95,
    what: "throughput of batches by io_uring, of a C receiver's by io_uring",
  },
  {
    key: 'compare.zcrxBatchVsC',
    holds: 'atLeast',
    limit: 0.95,
    what: "throughput of batches by io_uring, of a C receiver's by io_uring",
  },
  {
    key: 'micro.forEachNs',
    holds: 'atMost',
    limit: 12,
    what: 'ns per fragment, batch.forEach()',
  },
  { key: 'micro.batchOfNs', holds: 'atMost', limit: 35, what: 'ns per fragment, for…of a batch' },
  {
    key: 'micro.fragIterNs',
    holds: 'atMost',
    limit: 90,
    what: 'ns per fragment, for await of a socket',
  },
  {
    key: 'micro.takeNs',
    holds: 'atMost',
    limit: 400,
    what: 'ns per reader.take() of 4 KiB that lie in two fragments, with its release',
  },
  {
    key: 'micro.gatherColdVsMemcpy',
    holds: 'atMost',
    limit: 1.1,
    what: "ns a byte of taking and copying what is in no cache, of memcpy's of the same runs in C",
  },
  { key: 'micro.parseNs', holds: 'atMost', limit: 12, what: 'ns per record, parsed in C++' },
  { key: 'micro.releaseNs', holds: 'atMost', limit: 5, what: 'ns per fragment, batch.release()' },
  {
    key: 'micro.allocationsPerFragment',
    holds: 'atMost',
    limit: 0,
    what: 'allocations per fragment in C++',
  },
  {
    key: 'micro.heapBytesPerFragment',
    holds: 'atMost',
    limit: 0,
    what: "bytes per fragment of JavaScript's heap, in batches",
  },
  {
    key: 'host.copyVsC',
    holds: 'atLeast',
    limit: 0.95,
    what: 'throughput of the copy transport, of a C recv loop’s',
  },
  {
    key: 'host.copyVsNetSocket',
    holds: 'atLeast',
    limit: 1.7,
    what: "throughput of the copy transport, of net.Socket's",
  },
  {
    key: 'host.cpuVsNetSocket',
    holds: 'atMost',
    limit: 0.45,
    what: "CPU per GB of the copy transport, of net.Socket's",
  },
  {
    key: 'host.copyVsOnread',
    holds: 'atLeast',
    limit: 1,
    what: "throughput of the copy transport, of net.Socket's onread",
  },
  {
    key: 'host.cpuVsOnread',
    holds: 'atMost',
    limit: 1,
    what: "CPU per GB of the copy transport, of net.Socket's onread",
  },
  {
    key: 'host.copyVsOnread8',
    holds: 'atLeast',
    limit: 1,
    what: "throughput of the copy transport, of net.Socket's onread, 8 connections",
  },
  {
    key: 'host.cpuVsOnread8',
    holds: 'atMost',
    limit: 1,
    what: "CPU per GB of the copy transport, of net.Socket's onread, 8 connections",
  },
  {
    key: 'host.copyVsOnread64',
    holds: 'atLeast',
    limit: 1,
    what: "throughput of the copy transport, of net.Socket's onread, 64 connections",
  },
  {
    key: 'host.cpuVsOnread64',
    holds: 'atMost',
    limit: 1,
    what: "CPU per GB of the copy transport, of net.Socket's onread, 64 connections",
  },
  {
    key: 'host.readIntoVsC',
    holds: 'atLeast',
    limit: 0.95,
    what: 'throughput of readInto(), of a C program that receives into the same memory',
  },
  {
    key: 'host.readIntoVsArrayBuffer',
    holds: 'atLeast',
    limit: 1.5,
    what: "throughput of readInto(), of net.Socket's 'data' copied into one array",
  },
  {
    key: 'host.rssGrowthMiB',
    holds: 'atMost',
    limit: 8,
    what: 'MiB that resident memory grew by in a long stream',
  },
  {
    key: 'host.idleKiBPerConnection',
    holds: 'atMost',
    limit: 16,
    what: "KiB of an idle connection beyond net.Socket's own",
  },
];

/**
 * @param {Target} target
 * @param {number} value
 */
export function holds({ holds, limit }, value) {
  return holds === 'atLeast' ? value >= limit : value <= limit;
}
