/** Where nothing can be received, importing works, and every call says so in words. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Consumer } from './support/consumer.js';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

/** What Node.js says that it runs on, before anything else is loaded. */
function pretending(values: { platform?: string; arch?: string }): string[] {
  const lines = Object.entries(values).map(
    ([name, value]) => `Object.defineProperty(process, '${name}', { value: '${value}' });`,
  );
  // What node-gyp-build goes by.
  if (values.arch !== undefined) lines.push(`process.env.npm_config_arch = '${values.arch}';`);
  return ['--import', `data:text/javascript,${encodeURIComponent(lines.join('\n'))}`];
}

interface Told {
  supported: boolean;
  reason: string;
  /** By the call's name, its error. */
  calls: Record<string, { code?: string; message: string } | null>;
}

async function useAll(flags: string[]): Promise<Told> {
  const { status, stdout, stderr } = await consumer.run([...flags, 'use-all.mjs']);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as Told;
}

const PLATFORMS = [
  [{ platform: 'darwin' }, 'devmem-tcp needs Linux; this is darwin. Receive on Linux'],
  [{ platform: 'win32' }, 'devmem-tcp needs Linux; this is win32. Receive on Linux'],
  [{ platform: 'freebsd' }, 'devmem-tcp needs Linux; this is freebsd. Receive on Linux'],
  [
    { arch: 'riscv64' },
    'devmem-tcp is for x64 and arm64; this is riscv64. Receive on one of those',
  ],
  [{ arch: 'ia32' }, 'devmem-tcp is for x64 and arm64; this is ia32. Receive on one of those'],
] as const;

describe.each(PLATFORMS)('on %j', (platform, words) => {
  it('every call that receives says what it needs, and nothing of compiling', async () => {
    const { supported, reason, calls } = await useAll(pretending(platform));
    expect({ supported, reason }).toEqual({ supported: false, reason: words });
    for (const [name, error] of Object.entries(calls)) {
      const expected = { code: 'ERR_DEVMEM_UNSUPPORTED', message: words };
      expect({ name, ...error }).toEqual({ name, ...expected });
    }
  });

  it('the commands say so too', async () => {
    const main = 'node_modules/devmem-tcp/dist/bundle/cli.js';
    for (const args of [
      ['recv'],
      ['demo', '--bytes', '1M'],
      ['nic', 'plan', '--interface', 'lo', '--queues', '0'],
    ]) {
      const { status, stderr } = await consumer.run([...pretending(platform), main, ...args]);
      expect({ args, status }).not.toEqual({ args, status: 0 });
      expect(stderr).toContain(words);
    }
    const doctor = await consumer.run([...pretending(platform), main, 'doctor']);
    expect(doctor.status).toBe(1);
    expect(doctor.stderr).toBe('');
    expect(doctor.stdout).not.toContain('node-gyp');
  });
});

it('where a machine has everything, none of these calls says so', async () => {
  const { supported, calls } = await useAll([]);
  expect(supported).toBe(true);
  const codes = Object.values(calls).map((error) => error?.code);
  expect(codes).not.toContain('ERR_DEVMEM_UNSUPPORTED');
});
