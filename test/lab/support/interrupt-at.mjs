// @ts-check
// Interrupts its process when the turn of a setting of the interface comes: to be
// preloaded, with the setting in DEVMEM_INTERRUPT_AT.
import { subscribe } from 'node:diagnostics_channel';

subscribe('devmem-tcp:nic-step', (message) => {
  const { step } = /** @type {import('devmem-tcp').NicStepMessage} */ (message);
  if (step.setting === process.env.DEVMEM_INTERRUPT_AT) process.kill(process.pid, 'SIGINT');
});
