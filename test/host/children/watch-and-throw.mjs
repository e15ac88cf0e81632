// @ts-check
// A callback that throws, called by the event loop.
import { native, WATCH_WRITABLE } from '../../../dist/native.js';

const watcher = new (native().FdWatcher)(() => {
  throw new Error('thrown in onReady');
});
watcher.open(2);
watcher.start(WATCH_WRITABLE);
