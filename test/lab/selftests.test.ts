/**
 * The selftests that the kernel's patches bring. What they test takes no NIC, but they use
 * one where it is named to them.
 */
import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';

import { beforeEach, describe, expect, it } from 'vitest';

import { INTERFACE, rxQueues, setHeaderSplit } from './support/guest.js';
import { makeBare } from './support/nic.js';

/** Built by scripts/test-lab.mjs for the kernel that is to boot. */
const PROGRAMS = (process.env.DEVMEM_SELFTESTS ?? '').split(':').filter((path) => path !== '');

/** The last line of the kernel's own harness. */
const TOTALS = /^# Totals: (.*)$/m;

beforeEach(async () => {
  await makeBare();
  await setHeaderSplit(true);
});

describe("the selftests of the kernel's patches", () => {
  if (PROGRAMS.length === 0) {
    it.skip('are none: --kernel patched-7, patched-6.1 and queue-6.12 have some', () => {});
  }

  it.each(PROGRAMS.map((path) => ({ program: basename(path), path })))(
    '$program passes, and skips nothing',
    ({ path }) => {
      const env = { ...process.env, NIC: INTERFACE, QUEUE: String(rxQueues().at(-1)!) };
      const { status, stdout, stderr } = spawnSync(path, { encoding: 'utf8', env });
      const totals = TOTALS.exec(stdout)?.[1];
      expect(totals, stdout + stderr).toMatch(
        /^pass:[1-9]\d* fail:0 xfail:0 xpass:0 skip:0 error:0$/,
      );
      expect(status, stdout + stderr).toBe(0);
    },
  );
});
