// @ts-check
// Runs test/lab in the guest: node scripts/test-lab.mjs [--kernel NAME] [VITEST OPTIONS]
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const at = args.indexOf('--kernel');
const kernel = at < 0 ? [] : args.splice(at, 2);

const command = [
  `${root}kernel/lab/lab.mjs`,
  ...kernel,
  '--timeout',
  '1500',
  '--',
  process.execPath,
  `${root}node_modules/vitest/vitest.mjs`,
  'run',
  '--project',
  'lab',
  ...args,
];
const result = spawnSync(process.execPath, command, {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
});
process.exitCode = result.status ?? 1;
