// @ts-check
// Prepares the interface by the options given as JSON, tells its parent, and restores
// when told to. With a setting as second argument, kills itself when that one's turn comes.
import { subscribe } from 'node:diagnostics_channel';

import { prepareInterface } from 'devmem-tcp';

const [options, dieAt] = process.argv.slice(2);
subscribe('devmem-tcp:nic-step', (message) => {
  const { step } = /** @type {import('devmem-tcp').NicStepMessage} */ (message);
  if (step.setting === dieAt) process.kill(process.pid, 'SIGKILL');
});
/** @type {unknown} */
const given = JSON.parse(options ?? '');
const prepared = await prepareInterface(/** @type {import('devmem-tcp').PrepareOptions} */ (given));
process.on('message', async () => {
  await prepared.restore();
  process.disconnect();
});
process.send?.('prepared');
