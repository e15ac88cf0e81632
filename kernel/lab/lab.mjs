#!/usr/bin/env node
// @ts-check
/** `npm run lab`: see --help, and README.md beside this file. */
import { runCheckpatch } from './checkpatch.mjs';
import { HELP, parseCommandLine } from './options.mjs';
import { LabError, createReporter } from './report.mjs';
import { prepareLab, runInLab } from './run.mjs';

/** As a shell reports a death by signal. */
const SIGNAL_STATUS = Object.freeze({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 });

/**
 * Signals, and a reader of stdout that went away, end the guest in order.
 *
 * @returns {AbortSignal}
 */
function stopRequests() {
  const stop = new AbortController();
  for (const [name, status] of Object.entries(SIGNAL_STATUS)) {
    process.on(name, () => stop.abort(new LabError(`ended by ${name}`, status)));
  }
  process.stdout.on('error', (/** @type {Error} */ error) =>
    stop.abort(new LabError(`stdout: ${error.message}`, 141)),
  );
  return stop.signal;
}

/** @returns {Promise<number>} */
async function main() {
  const { action, quiet, options } = parseCommandLine(process.argv.slice(2));
  const reporter = createReporter({ quiet });
  switch (action) {
    case 'help':
      process.stdout.write(HELP);
      return 0;
    case 'prepare':
      await prepareLab({ ...options, reporter });
      return 0;
    case 'print-paths': {
      const { kernel, module } = await prepareLab({ ...options, reporter });
      process.stdout.write(`${JSON.stringify({ ...kernel, module }, undefined, 2)}\n`);
      return 0;
    }
    case 'checkpatch':
      return runCheckpatch(options.command, reporter);
    case 'run':
      return (await runInLab({ ...options, reporter, signal: stopRequests() })).status;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  createReporter().alert(error.message);
  // Not by exitCode: a download that a signal interrupted would keep the process up.
  process.exit(error.status);
}
