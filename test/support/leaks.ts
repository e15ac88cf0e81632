import { readdirSync, readlinkSync } from 'node:fs';

import { afterEach, beforeEach, expect } from 'vitest';

import { native } from '../../dist/native.js';

export interface Resources {
  sockets: number;
  memoryFiles: number;
  /** Descriptors of the frag ring that were not released. */
  liveDescriptors: number;
}

/** What this process holds now of the things that this package opens. */
export function resources(): Resources {
  const targets = openFiles();
  return {
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
    memoryFiles: targets.filter((target) => target.startsWith('/memfd:devmem-tcp')).length,
    liveDescriptors: native().ringUsage()[1]!,
  };
}

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the descriptor that listed the directory
    }
  });
}

/** Has every test of a file fail that leaves anything open or held behind. */
export function expectNoLeaks(): void {
  let before: Resources;
  beforeEach(() => {
    before = resources();
  });
  afterEach(async () => {
    await expect.poll(resources, { interval: 5, timeout: 5000 }).toEqual(before);
  });
}
