import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, onTestFinished, test } from 'vitest';

import { TARGETS } from '../../bench/lib/targets.mjs';

const RUN = fileURLToPath(new URL('../../bench/run.mjs', import.meta.url));

interface Report {
  environment: Record<string, unknown>;
  quick: boolean;
  micro: Record<string, unknown>;
}

// What the figures are depends on the machine: a test says only that they are there.
// Of a busy machine's time.
const LIMIT_MS = 300_000;

// The programs that are measured count allocations themselves, which sanitizers do too.
const sanitized = process.env.ASAN_OPTIONS !== undefined;

test.skipIf(sanitized)(
  'a quick benchmark writes every figure that has a target',
  { timeout: LIMIT_MS },
  () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-bench-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'report.json');

    const args = [RUN, '--quick', '--json', file, 'micro'];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });

    expect(stderr).toContain('bench: micro: done');
    expect(status).toBe(0);
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    expect(report.quick).toBe(true);
    expect(report.environment).toMatchObject({ node: process.version });
    const names = TARGETS.filter(({ key }) => key.startsWith('micro.')).map(({ key }) =>
      key.slice('micro.'.length),
    );
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) {
      expect(report.micro[name], name).toSatisfy(Number.isFinite);
    }
    expect(report.micro.samples).toHaveProperty('javascript.forEach.length', 7);
  },
);
