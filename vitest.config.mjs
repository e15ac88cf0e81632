// @ts-check
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

// Tests run against dist/; `npm test` builds it first. What looks inside takes its modules,
// 'devmem-tcp' included, so that there is one of each; all else takes the bundle, as it ships.
const inside = {
  resolve: { alias: { 'devmem-tcp': fileURLToPath(new URL('dist/index.js', import.meta.url)) } },
};

// Vitest's own choice leaves a core to itself, of two the half: these mostly wait.
const maxWorkers = Math.max(2, availableParallelism() - 1);

// Kernels that check all they do take several times as long for it.
const labPatience = process.env.DEVMEM_LAB_KERNEL?.startsWith('debug-') ? 3 : 1;

/**
 * @param {string} name
 * @param {import('vitest/config').ViteUserConfig['test']} more
 */
const project = (name, more = {}) => ({
  ...(['unit', 'host'].includes(name) && inside),
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    // What is polled for comes; of a second, a busy machine has too little to give.
    expect: { poll: { timeout: 30_000 } },
    ...more,
  },
});

export default defineConfig({
  // The lab's guest sees node_modules read-only.
  cacheDir: process.env.DEVMEM_LAB === '1' ? '/tmp/vite' : 'node_modules/.vite',
  test: {
    pool: 'forks',
    projects: [
      project('unit', { maxWorkers, testTimeout: 30_000 }),
      // Where a machine is busy, milliseconds become seconds; some compile a library before.
      project('host', { maxWorkers, testTimeout: 60_000, hookTimeout: 60_000 }),
      // One interface pair for all: one file at a time. Emulation takes its time, and each
      // process would load and compile everything anew, a third of all: one process for all.
      project('lab', {
        isolate: false,
        testTimeout: 300_000 * labPatience,
        hookTimeout: 120_000 * labPatience,
        fileParallelism: false,
        // Node.js loads it by itself, and in less time.
        server: { deps: { external: [/\/dist\//] } },
      }),
      // Looked at by the compiler, not run.
      project('types', {
        include: [],
        typecheck: {
          enabled: true,
          only: true,
          include: ['test/types/**/*.test-d.ts'],
          tsconfig: 'test/types/tsconfig.json',
        },
      }),
      project('package', { testTimeout: 300_000, hookTimeout: 300_000 }),
    ],
  },
});
