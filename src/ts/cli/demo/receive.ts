/** Receives the pattern from a sender of its own, and looks at every byte of it. */
import { type ChildProcess, spawn } from 'node:child_process';

import { type Binding, bindRx, DmaBuf, type Mode } from '../../index.js';
import { CLI, packageFile } from '../../package-files.js';
import { Meter } from '../transfer/meter.js';
import { addressText } from '../values.js';
import { DEFAULT_SEED, Pattern } from '../transfer/pattern.js';
import { receiveAll } from '../transfer/receive.js';
import { receiveReport, type ReceiveReport } from '../transfer/receive-report.js';
import { Stopper } from '../transfer/stopping.js';

/** Where to receive and from where to send. */
export interface DemoSetup {
  bytes: number;
  memoryBytes: number;
  mode: Mode;
  interface: string | undefined;
  queues: number[] | undefined;
  /** The address to listen on, and to send to. */
  host: string;
  /** A command that runs its arguments where the sender is to be; empty: right here. */
  peerCommand: string[];
}

/** What `npm run demo -- --json` prints. */
export type DemoResult = ReceiveReport;

/** @param quiet - no progress bar */
export async function runDemo(setup: DemoSetup, quiet: boolean): Promise<DemoResult> {
  await using memory = await DmaBuf.allocate({ size: setup.memoryBytes });
  await using binding = await bindRx({
    memory,
    mode: setup.mode,
    ...(setup.interface !== undefined && { interface: setup.interface }),
    ...(setup.queues !== undefined && { queues: setup.queues }),
  });
  return await receiveOnce(setup, binding, quiet);
}

// One connection from one sender; fails with whichever end fails first.
async function receiveOnce(
  setup: DemoSetup,
  binding: Binding,
  quiet: boolean,
): Promise<DemoResult> {
  using stopper = new Stopper();
  using meter = new Meter({ total: setup.bytes, interval: undefined, quiet });
  let sender: ChildProcess | undefined;
  let senderFailure: Error | undefined;
  const failed = (error: Error): void => {
    senderFailure ??= error;
    stopper.stop('interrupted');
  };
  try {
    const tally = await receiveAll({
      binding,
      listen: { host: setup.host, port: 0 },
      connections: 1,
      bytes: undefined,
      seconds: undefined,
      pattern: new Pattern(DEFAULT_SEED),
      meter,
      stopper,
      onListening: (_address, port) => (sender = startSender(setup, port, failed)),
    });
    if (senderFailure !== undefined) throw senderFailure;
    const [failure] = tally.latest.flatMap(({ error }) => (error === undefined ? [] : [error]));
    if (failure !== undefined) throw new Error(failure);
    const report = receiveReport(tally, { binding, meter, reason: stopper.reason });
    return { ...report, verified: report.verified === true && report.bytes === setup.bytes };
  } finally {
    sender?.kill();
  }
}

function startSender(setup: DemoSetup, port: number, failed: (error: Error) => void): ChildProcess {
  const where = ['--connect', addressText(setup.host, port), '--bytes', String(setup.bytes)];
  const command = [...setup.peerCommand, process.execPath, packageFile(CLI), 'send', ...where];
  const sender = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  sender.on('error', failed);
  sender.on('exit', (status) => {
    if (status !== 0 && status !== null) failed(new Error(`the sender exited with ${status}`));
  });
  return sender;
}
