// @ts-check
/** A transfer that takes its time to end when it is told to. */
import { Stopper } from '../../../dist/cli/transfer/stopping.js';

const stopper = new Stopper();
stopper.signal.addEventListener('abort', () => process.stdout.write('stopping\n'));
process.on('SIGUSR2', () => {
  process.stdout.write('done\n');
  process.exit();
});
// Not for ever.
setTimeout(() => process.exit(1), 30_000);
process.stdout.write('ready\n');
