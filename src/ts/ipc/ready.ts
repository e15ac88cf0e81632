/** Waiting until a descriptor can be read or written. */
import { onAbort, throwIfAborted } from '../abort.js';
import { systemError } from '../errors.js';
import { native, WATCH_READABLE, WATCH_WRITABLE } from '../native.js';

export interface ReadyOptions {
  signal?: AbortSignal | undefined;
  /** Whether waiting keeps the process alive. Default true. */
  ref?: boolean;
}

/**
 * Resolves once the descriptor can be read (or written) without waiting, has ended or
 * has failed. It may be closed meanwhile: a duplicate is watched.
 *
 * @param other - a second signal. (AbortSignal.any() would leave something behind in both:
 *   Node 20 never forgets what was made of a signal that lives on.)
 * @throws a signal's reason
 * @throws SystemError where the descriptor cannot be polled
 */
export function ready(
  fd: number,
  direction: 'readable' | 'writable',
  { signal, ref = true }: ReadyOptions = {},
  other?: AbortSignal,
): Promise<void> {
  const signals = [signal, other].filter((each) => each !== undefined);
  for (const each of signals) throwIfAborted(each);
  const ignoring: (() => void)[] = [];
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      watcher.close();
      for (const ignore of ignoring) ignore();
      settle();
    };
    const watcher = new (native().FdWatcher)(() => {
      finish(resolve);
    });
    const events = direction === 'readable' ? WATCH_READABLE : WATCH_WRITABLE;
    const opened = watcher.open(fd);
    const status = opened < 0 ? opened : watcher.start(events);
    if (status < 0) {
      finish(() => reject(systemError(status, 'uv_poll_start')));
      return;
    }
    if (!ref) watcher.unref();
    for (const each of signals) {
      ignoring.push(onAbort(each, (reason) => finish(() => reject(reason))));
    }
  });
}
