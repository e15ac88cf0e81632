/**
 * Calls back when the signal is aborted, at once where it was.
 *
 * @returns has it call no more
 */
export function onAbort(signal: AbortSignal, callback: (reason: Error) => void): () => void {
  const abort = (): void => {
    callback(signal.reason as Error);
  };
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return () => {
    signal.removeEventListener('abort', abort);
  };
}
