/** `devmem-tcp doctor` on a machine without a capable NIC, as every one without is. */
import { accessSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';

import { diagnose, type Finding, type Report } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { runCli } from '../support/cli.js';
import { itWhere } from '../support/conditions.js';

const missing = ({ findings }: Report): Finding[] =>
  findings.filter(({ status }) => status === 'missing');

const NOBODY = 65534;
const root = process.getuid?.() === 0;
const asRoot = itWhere(root, 'needs root: run the tests as root');
const withoutProc = itWhere(
  root && process.env.ASAN_OPTIONS === undefined,
  'needs root, and none of the sanitizers, which read /proc themselves',
);

/** What this machine really lacks, found out without the doctor. */
const hasUdmabuf = (() => {
  try {
    accessSync('/dev/udmabuf');
    return true;
  } catch {
    return false;
  }
})();

describe('doctor', () => {
  it('exits with 1 and names what is missing', async () => {
    const { status, stdout } = await runCli(['doctor']);
    expect(status).toBe(1);
    expect(stdout).toContain('A devmem receive cannot work here. What is missing:');
    if (!hasUdmabuf) expect(stdout).toContain('- No /dev/udmabuf');
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).not.toContain('\x1b');
  });

  it('prints the same as JSON', async () => {
    const { status, stdout } = await runCli(['doctor', '--json']);
    expect(status).toBe(1);
    const report = JSON.parse(stdout) as Report;
    expect(report).toMatchObject({ ready: false, interfaces: [] });
    expect(report).toEqual(await diagnose());
    for (const finding of missing(report)) {
      expect(finding).toMatchObject({
        title: expect.stringMatching(/\w/) as string,
        why: expect.stringMatching(/\w/) as string,
        fix: expect.stringMatching(/\w/) as string,
      });
    }
  });

  it('looks at the interface that it is asked for, even a virtual one', async () => {
    const { stdout } = await runCli(['doctor', '--json', '--interface', 'nosuch0']);
    const ids = missing(JSON.parse(stdout) as Report);
    expect(ids.find(({ id }) => id === 'interface.list')?.title).toContain("'nosuch0'");
    expect(networkInterfaces()).not.toHaveProperty('nosuch0');
  });

  asRoot('misses the privilege as another user', async () => {
    const { status, stdout } = await runCli(['doctor', '--json'], {
      prefix: ['setpriv', `--reuid=${NOBODY}`, '--clear-groups'],
    });
    expect(status).toBe(1);
    const finding = missing(JSON.parse(stdout) as Report).find(
      ({ id }) => id === 'privilege.net-admin',
    );
    expect(finding?.commands?.[0]).toContain('setcap cap_net_admin');
  });

  asRoot('says what it cannot know in a sandbox without sysfs', async () => {
    const { status, stdout, stderr } = await runCli(['doctor', '--json'], {
      prefix: ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /sys && exec "$@"', 'sh'],
    });
    expect(stderr).toBe('');
    expect(status).toBe(1);
    const { findings } = JSON.parse(stdout) as Report;
    const unknown = findings.filter(({ title }) => /unknown/i.test(title));
    expect(unknown.map(({ id }) => id)).toContain('topology.iommu');
  });

  withoutProc('and the plan say what they cannot know without /proc', async () => {
    const prefix = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh'];
    const { status, stdout, stderr } = await runCli(['doctor', '--json'], { prefix });
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    const ids = missing(JSON.parse(stdout) as Report).map(({ id }) => id);
    expect(ids).toContain('privilege.net-admin');

    const options = ['--interface', 'lo', '--queues', '0'];
    const plan = await runCli(['nic', 'plan', ...options], { prefix });
    expect(plan).toMatchObject({ status: 1, stderr: '' });
    expect(plan.stdout).toContain('note: there is no /proc to tell whether');
    for (const args of [['apply', ...options], ['restore']]) {
      const { status: failed, stderr: said } = await runCli(['nic', ...args], { prefix });
      expect(failed).toBe(1);
      expect(said).toMatch(/Without \/proc nobody could tell later .* 'mount -t proc proc \/proc'/);
    }
  });

  asRoot('names the virtual interfaces where there are no others', async () => {
    const { status, stdout } = await runCli(['doctor', '--json'], {
      prefix: ['unshare', '-n', 'sh', '-c', 'ip link add veth7 type veth && exec "$@"', 'sh'],
    });
    expect(status).toBe(1);
    const finding = missing(JSON.parse(stdout) as Report).find(({ id }) => id === 'interface.list');
    expect(finding?.title).toContain('veth7');
    expect(finding?.commands).toEqual(['npm run demo -- --lab']);

    const asked = await runCli(['doctor', '--json', '--interface', 'veth7'], {
      prefix: ['unshare', '-n', 'sh', '-c', 'ip link add veth7 type veth && exec "$@"', 'sh'],
    });
    const driver = missing(JSON.parse(asked.stdout) as Report).find(
      ({ id }) => id === 'interface.driver',
    );
    expect(driver?.title).toContain('virtual interface (veth)');
  });
});

describe('bad usage', () => {
  it.for([
    [['doctor', '--nosuch'], "unknown option '--nosuch'\n"],
    [['doctor', '--interfce', 'x'], "unknown option '--interfce' (did you mean '--interface'?)"],
    [['doctor', 'eth0'], "unexpected argument 'eth0'"],
    [['doctor', '--interface'], "'--interface <value>' argument missing"],
  ] as const)('%j exits with 64 and points to the help', async ([args, message]) => {
    const { status, stdout, stderr } = await runCli(args);
    expect(status).toBe(64);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).toContain("Try 'devmem-tcp doctor --help'");
  });
});

it('tells its version', async () => {
  const manifest = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  expect(await runCli(['--version'])).toMatchObject({ status: 0, stdout: `${version}\n` });
});

const COMMANDS = ['doctor', 'recv', 'send', 'nic', 'broker', 'kernel', 'demo'];

describe('help', () => {
  it.for([['--help'], ['-h'], ['help']])('lists the commands: %s', async (args) => {
    const { status, stdout } = await runCli(args);
    expect(status).toBe(0);
    for (const name of COMMANDS) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
  });

  it.for(COMMANDS)('fits a terminal: %s', async (name) => {
    const { status, stdout } = await runCli([name, '--help']);
    expect(status).toBe(0);
    expect(stdout).toContain(`devmem-tcp ${name}`);
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(await runCli(['help', name])).toMatchObject({ status, stdout });
  });

  it('suggests the command that was meant', async () => {
    const { status, stderr } = await runCli(['recieve']);
    expect(status).toBe(64);
    expect(stderr).toContain("no command 'recieve'");
    expect((await runCli(['docter'])).stderr).toContain("did you mean 'doctor'?");
  });
});
