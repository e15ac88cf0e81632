/** Hearing of links: in a network namespace of its own, where they can be changed. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { expect } from 'vitest';

import { itWhere } from '../support/conditions.js';

const PROGRAM = fileURLToPath(new URL('children/watch-link.mjs', import.meta.url));

const canUnshare = spawnSync('unshare', ['--net', 'ip', 'link']).status === 0;

itWhere(canUnshare, "no 'unshare --net' with ip: root, util-linux and iproute2 enable this")(
  'changes of a watched link are told, also after more of them than there was room for',
  async () => {
    const { status, stdout, stderr } = spawnSync('unshare', ['--net', process.execPath, PROGRAM], {
      encoding: 'utf8',
      timeout: 50_000,
    });
    // It ends by itself: watching does not keep it alive.
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      ['lo 1 up', 'lo 1 down'],
      { last: 'lo 1 up', all: false },
      'lo 1 up',
    ]);
  },
);
