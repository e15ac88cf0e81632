// @ts-check
// Loaded into vitest and its workers (--import). Leaks are looked for when a process
// exits, and the addon's teardown is worth watching too. vitest ends its workers by a
// signal, and soon after that by SIGKILL; left alone, they end by themselves, for
// which they are given time here. One that dies of a signal, by a report of the
// sanitizers, is written down for the script to find.
import { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';

const WORKER = /vitest\/dist\/workers\/\w+\.js$/;

/** @typedef {(this: ChildProcess, signal?: NodeJS.Signals | number) => boolean} Kill */

/** How long a worker may take to end, in milliseconds. */
const PATIENCE = 10_000;

/**
 * @param {ChildProcess} child
 * @param {() => void} end ends it the hard way
 */
function awaitExit(child, end) {
  const timer = setTimeout(end, PATIENCE);
  child.once('exit', (_, signal) => {
    clearTimeout(timer);
    if (signal === null) return;
    const report = path.join(process.env.DEVMEM_TCP_SANITIZE_LOGS ?? '', `exit.${child.pid ?? 0}`);
    writeFileSync(report, `A worker died of ${signal} as it ended. Its last words are above.\n`);
  });
}

function letWorkersExit() {
  const kill = /** @type {Kill} */ (Reflect.get(ChildProcess.prototype, 'kill'));
  /** @type {Kill} */
  function killGently(signal) {
    if (!this.spawnargs.some((word) => WORKER.test(word))) return kill.call(this, signal);
    if (signal !== 'SIGKILL') awaitExit(this, () => kill.call(this, signal));
    return true;
  }
  ChildProcess.prototype.kill = killGently;
}

if (isMainThread && WORKER.test(process.argv[1] ?? '')) {
  // Not for the programs that tests start: those end in their own ways.
  delete process.env.NODE_OPTIONS;
} else if (isMainThread) {
  letWorkersExit();
}
