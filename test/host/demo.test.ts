/** `devmem-tcp demo`: a stream of its own, over loopback. */
import { describe, expect, it } from 'vitest';

import { runCli } from '../support/cli.js';

describe('demo', () => {
  it('receives a verified stream and tells of it', async () => {
    const { status, stdout, stderr } = await runCli(['demo', '--bytes', '4M', '--json']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      transport: 'copy',
      bytes: 4 * 2 ** 20,
      verified: true,
    });
    expect(status).toBe(0);
  });

  it('tells people where the real path is to be had', async () => {
    const { status, stdout } = await runCli(['demo', '--bytes', '1M']);
    expect(status).toBe(0);
    expect(stdout).toContain("'npm run demo -- --lab'");
  });

  it('says what it does not understand', async () => {
    const sized = await runCli(['demo', '--bytes', 'much']);
    expect(sized).toMatchObject({ status: 64, stdout: '' });
    expect(sized.stderr).toContain(
      "--bytes must be a size such as 64M or 1G, up to 1048576G, not 'much'",
    );
    const extra = await runCli(['demo', 'more']);
    expect(extra).toMatchObject({ status: 64, stdout: '' });
  });
});
