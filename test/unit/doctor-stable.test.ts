/** What the doctor says of a stable release of Linux 6.12. */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { examine } from '../../dist/doctor/diagnose.js';
import type { Machine } from '../../dist/doctor/machine.js';
import type { Finding } from '../../dist/doctor/report.js';
import { FIXES, LEAST_STABLE } from '../../dist/kernel/stable-fixes.js';
import { machine } from '../support/machines.js';

async function find(release: string, changes: Partial<Machine> = {}): Promise<Finding | undefined> {
  const { findings } = await examine(machine({ release, ...changes }), {});
  return findings.find(({ id }) => id === 'kernel.stable');
}

const DOCS = new URL('../../docs/kernels.md', import.meta.url);

describe('a stable release of Linux 6.12', () => {
  it('that has all fixes is good', async () => {
    expect(await find(`6.12.${LEAST_STABLE}+deb12-cloud-amd64`)).toMatchObject({
      status: 'ok',
      title: `Linux 6.12.${LEAST_STABLE} has the stable fixes of this path`,
    });
  });

  it('that lacks one is told it', async () => {
    const finding = await find(`6.12.${LEAST_STABLE - 1}-1-lts`);
    expect(finding).toMatchObject({ status: 'warning' });
    expect(finding?.title).toBe(`Linux 6.12.${LEAST_STABLE - 1} lacks one fix of this path`);
    expect(finding?.why).toMatch(new RegExp(`\\(mended in 6\\.12\\.${LEAST_STABLE}\\)\\.$`));
    expect(finding?.fix).toContain(`Boot Linux 6.12.${LEAST_STABLE} or newer`);
  });

  it('of the first days is told how many it lacks, and the latest of them', async () => {
    const finding = await find('6.12.0');
    expect(finding?.title).toBe(`Linux 6.12.0 lacks ${FIXES.length} fixes of this path`);
    expect(finding?.why).toMatch(new RegExp(`; and ${FIXES.length - 4} fixes more\\.$`));
  });

  it('lacks the fewer, the newer it is', async () => {
    for (const { stable } of FIXES) {
      const lacking = FIXES.filter((fix) => fix.stable > stable).length;
      const title = (await find(`6.12.${stable}`))?.title;
      if (lacking === 0) expect(title).toContain('has the stable fixes');
      else expect(title).toMatch(new RegExp(`lacks (${lacking} fixes|one fix) `));
    }
  });

  it.for(['6.12.0-55.el10.x86_64', '6.12.0-100.28.2.el9uek.x86_64', '6.12.0-160000.5-default'])(
    'whose distribution mends it itself is not guessed: %s',
    async (release) => {
      const finding = await find(release);
      expect(finding).toMatchObject({ status: 'warning' });
      expect(finding?.title).toContain(`Unknown which stable fixes Linux ${release} has`);
    },
  );

  it('is not asked for on other versions, nor where nothing can be bound', async () => {
    for (const release of ['7.3.4-amd64', '6.1.192', '6.18.2', 'nonsense']) {
      expect(await find(release)).toBeUndefined();
    }
    const canBindRx = (): Promise<boolean> => Promise.resolve(false);
    expect(await find('6.12.1', { canBindRx })).toBeUndefined();
  });

  it('is in the documentation as the doctor has it', () => {
    const rows = [...readFileSync(DOCS, 'utf8').matchAll(/^\| 6\.12\.(\d+) \| `(.+?)` \|/gm)];
    expect(rows.map(([, stable, commit]) => [Number(stable), commit])).toEqual(
      FIXES.map(({ stable, commit }) => [stable, commit]),
    );
  });
});
