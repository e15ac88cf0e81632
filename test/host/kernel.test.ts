/** `devmem-tcp kernel`: what this machine's kernel, or another, needs of kernel/patches. */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import type { KernelNeeds } from '../../dist/kernel/needs.js';
import { runCli } from '../support/cli.js';

async function needs(...args: string[]): Promise<KernelNeeds> {
  const { status, stdout, stderr } = await runCli(['kernel', '--json', ...args]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as KernelNeeds;
}

describe('kernel', () => {
  it('is about the one that runs here, where no other is named', async () => {
    const { release: told, advice } = await needs();
    expect(told).toBe(release());
    expect(advice.length).toBeGreaterThan(0);
  });

  it('names the patches of another, which are there', async () => {
    const { series, applyCommands } = await needs('--release', '6.12.85');
    expect(series).toMatchObject({ name: 'linux-6.12', against: '6.12.117', applied: 'unknown' });
    const files = series!.patches.map(({ file }) => path.join(series!.folder, file));
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
    expect(applyCommands[0]).toContain(series!.folder);
  });

  it('tells people the same in lines that fit a terminal, but for paths', async () => {
    const { series, applyCommands, devmemsimCommands } = await needs('--release', '6.12.85');
    const { status, stdout } = await runCli(['kernel', '--release', '6.12.85']);
    expect(status).toBe(0);
    for (const line of [...applyCommands, ...devmemsimCommands, series!.folder]) {
      expect(stdout).toContain(`  ${line}\n`);
    }
    for (const { subject } of series!.patches) {
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain(subject);
    }
    expect(stdout).toContain('(mended in 6.12.115)');
    const long = stdout.split('\n').filter((line) => line.length > 80 && !line.includes('/'));
    expect(long).toEqual([]);
  });

  it.for([
    [['kernel', '--release', '6.12.1\x1b[2J'], "not '6.12.1\\x1b[2J'"],
    [['kernel', '6.12\x1b[2J'], "unexpected argument '6.12\\x1b[2J'"],
    [['kernel\x1b[2J'], "no command 'kernel\\x1b[2J'"],
  ] as const)('%j shows nothing that would control the terminal', async ([args, words]) => {
    const { stdout, stderr } = await runCli(args);
    expect(stdout).toBe('');
    expect(stderr).toContain(words);
    expect(stderr).not.toContain('\x1b');
  });

  it.for([
    [['kernel', '6.12'], "unexpected argument '6.12'"],
    [['kernel', '--relase', '6.12'], "did you mean '--release'?"],
    [['kernel', '--release', '6.12.x'], "or a version such as 6.12, not '6.12.x'"],
  ] as const)('%j is bad usage', async ([args, message]) => {
    const { status, stdout, stderr } = await runCli(args);
    expect(status).toBe(64);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
  });
});
