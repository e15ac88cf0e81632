// @ts-check
// Runs test/lab in the guest:
//
//   node scripts/test-lab.mjs [--kernel NAME] [--reproduce] [VITEST OPTIONS]
//
// --reproduce: what is skipped on a kernel that lacks kernel/patches, because it would panic or
// leak, is tried there all the same. One test at a time (FILE -t NAME) tells what it does.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { ensureNcdevmem } from '../kernel/lab/ncdevmem.mjs';
import { DEFAULT_KERNEL, guestNeeds } from '../kernel/lab/kernels.mjs';
import { createReporter, LabError } from '../kernel/lab/report.mjs';
import { ensureSelftests } from '../kernel/lab/selftests.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const at = args.indexOf('--kernel');
const [, kernel = DEFAULT_KERNEL] = at < 0 ? [] : args.splice(at, 2);
const reproduceAt = args.indexOf('--reproduce');
if (reproduceAt >= 0) args.splice(reproduceAt, 1);
const reproduce = reproduceAt >= 0 ? { DEVMEM_REPRODUCE: '1' } : {};

/** All of test/lab takes longer than what one command is expected to. */
const timeoutSeconds = Math.max(2700, 3 * guestNeeds(kernel).timeoutSeconds);

// Of allocations that test/lab/shortage.test.ts has fail: those of vmalloc and of the kernel's
// own checks say so. Elsewhere none fails on demand, and whoever says so has a reason.
const failedOnDemand = kernel.startsWith('debug-')
  ? [
      /\bwarn_alloc(?:\.cold)?\+0x/,
      /^.*DMA-API: cacheline tracking ENOMEM/,
      /^.*ref_tracker: memory allocation failure/,
    ]
  : [];

const command = [
  `${root}kernel/lab/lab.mjs`,
  ...['--kernel', kernel, '--timeout', String(timeoutSeconds)],
  ...failedOnDemand.flatMap(({ source }) => ['--allow-splat', source]),
  '--',
  process.execPath,
  `${root}node_modules/vitest/vitest.mjs`,
  'run',
  '--project',
  'lab',
  ...args,
];

const reporter = createReporter();

/** Where it cannot be had, the tests of it are skipped; in CI it must be had. */
async function ncdevmem() {
  try {
    return { DEVMEM_NCDEVMEM: await ensureNcdevmem(reporter) };
  } catch (error) {
    if (!(error instanceof LabError) || process.env.CI === 'true') throw error;
    reporter.alert(error.message);
    return {};
  }
}

/** Of the kernel's patches, those that there are. */
async function selftests() {
  return { DEVMEM_SELFTESTS: (await ensureSelftests(kernel, reporter)).join(':') };
}

/** @returns {Promise<number>} exit status */
async function run() {
  try {
    const programs = { ...(await ncdevmem()), ...(await selftests()) };
    const result = spawnSync(process.execPath, command, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...programs, ...reproduce },
    });
    return result.status ?? 1;
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    reporter.alert(error.message);
    return error.status;
  }
}

process.exitCode = await run();
