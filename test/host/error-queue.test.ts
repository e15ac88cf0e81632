import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const child = (name: string) => fileURLToPath(new URL(`children/${name}`, import.meta.url));

it('an entry in its error queue does not keep a socket awake, nor end it', async () => {
  const program = [process.execPath, child('error-queue.mjs')];
  const python = spawn('python3', [child('error-queue.py'), ...program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 50_000,
  });
  const lines = (await text(python.stdout)).trim().split('\n');
  expect(lines[0]).toBe('reading');
  const result = JSON.parse(lines[1] ?? '{}') as { wakes: number; text: string };
  expect(result.text).toBe('payload');
  // One for the entry; not one a turn.
  expect(result.wakes).toBeLessThanOrEqual(2);
});
