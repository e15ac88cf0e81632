/** Values of another realm, as test runners and `vm` contexts make them: no `instanceof` holds. */
import vm from 'node:vm';

const realm = vm.createContext({});

export function foreignBytes(text: string): Uint8Array {
  const bytes = [...Buffer.from(text)].join(',');
  return vm.runInContext(`new Uint8Array([${bytes}])`, realm) as Uint8Array;
}

/** An abort controller as libraries write them, from before there were reasons. */
export interface ForeignController {
  signal: AbortSignal;
  /** Listeners on the signal. */
  readonly listeners: number;
  abort(): void;
}

export function foreignController(): ForeignController {
  return vm.runInContext(
    `(() => {
      const listeners = new Set();
      const signal = {
        aborted: false,
        addEventListener: (type, listener) => listeners.add(listener),
        removeEventListener: (type, listener) => listeners.delete(listener),
      };
      return {
        signal,
        get listeners() { return listeners.size; },
        abort() {
          signal.aborted = true;
          for (const listener of listeners) listener({ type: 'abort' });
          listeners.clear();
        },
      };
    })()`,
    realm,
  ) as ForeignController;
}
