/** What serveDiagnostics() takes, and checking it. */
import { checkEach, checkInteger, checkObject, invalidArgType } from '../errors.js';
import type { SocketFile } from '../ipc/listen.js';

export interface DiagnosticsOptions {
  /**
   * Path of the Unix-domain socket: at most 107 bytes, and its last part 80. What a process
   * that was killed left there is replaced.
   */
  path: string;
  /** Permissions of the socket: who may write to it may connect. Default 0o600. */
  mode?: number;
  /** Number of the socket's group. Default: this process's. */
  group?: number;
  /** Users that are served, as the kernel tells (SO_PEERCRED). Default: whoever may connect. */
  allowUids?: readonly number[];
}

const MODE = 0o600;
// (uid_t)-1 is nobody's.
const MAX_ID = 2 ** 32 - 2;

/** @internal */
export interface CheckedDiagnosticsOptions {
  file: SocketFile;
  uids: readonly number[] | undefined;
}

/** @internal */
export function checkDiagnosticsOptions(options: DiagnosticsOptions): CheckedDiagnosticsOptions {
  const {
    path,
    mode = MODE,
    group,
    allowUids,
  } = checkObject('options', options) as DiagnosticsOptions;
  if (typeof path !== 'string') throw invalidArgType('options.path', 'a string', path);
  const file = {
    path,
    mode: checkInteger('options.mode', mode, 0, 0o777),
    gid: group === undefined ? undefined : checkInteger('options.group', group, 0, MAX_ID),
  };
  return { file, uids: allowUids === undefined ? undefined : checkUids(allowUids) };
}

function checkUids(uids: unknown): number[] {
  return checkEach('options.allowUids', uids, 'an array of numbers', (name, uid) =>
    checkInteger(name, uid, 0, MAX_ID),
  );
}
