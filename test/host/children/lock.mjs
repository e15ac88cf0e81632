// @ts-check
// Takes a lock, tells its parent, and keeps it.
import { withLock } from '../../../dist/nic/prepare/lock.js';

await withLock(process.argv[2] ?? '', async () => {
  process.send?.('locked');
  await new Promise((resolve) => process.once('disconnect', resolve));
});
