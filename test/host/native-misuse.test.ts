/** The addon, called in ways that nothing of dist/ calls it: it refuses, and stays whole. */
import { constants } from 'node:os';

import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';

const { EINVAL, EBADF } = constants.errno;

async function told(...what: (string | number)[]): Promise<unknown> {
  const { status, signal, stdout, stderr } = await new Child('native-misuse', what).outcome();
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  return JSON.parse(stdout);
}

describe('a pool whose id is a mark of the frag ring', () => {
  it.for(
    ['cmsg', 'queue', 'copy', 'zcrx'].flatMap((transport) =>
      [0, 2 ** 32 - 1, 2 ** 32 - 2].map((id) => [transport, id] as const),
    ),
  )('is not received into by %s: %i', async ([transport, id]) => {
    const { said, members } = (await told('mark', transport, id)) as {
      said: string;
      members: number;
    };
    expect(said).toMatch(/^TypeError: /);
    expect(said).toContain(`is ${id}`);
    expect(said).toContain('npm run build');
    expect(members).toBe(0);
  });
});

describe('an rx queue of io_uring', () => {
  it('is opened and registered once, in that order', async () => {
    expect(await told('order')).toEqual({
      unopened: [-EBADF, -EBADF],
      opened: -EINVAL,
      again: expect.toBeOneOf([-EINVAL, -EBADF]) as number,
      closed: [-EINVAL, -EBADF],
    });
  });

  it('has as many bytes as a number counts exactly', async () => {
    expect(await told('size')).toEqual(Array.from({ length: 6 }, () => -EINVAL));
  });

  it('is collected once it is closed, though its callback leads to it', async () => {
    expect(await told('callback')).toEqual({ collected: true });
  });
});

it('methods and accessors of the addon serve their own objects alone', async () => {
  const said = (await told('strangers')) as Record<string, string>;
  expect(Object.keys(said).length).toBeGreaterThan(20);
  for (const [name, words] of Object.entries(said)) {
    expect(`${name}: ${words}`).toMatch(/: (TypeError|Error): /);
  }
});

it('a receiver gives back no fragment of another memory', async () => {
  const nothing = { part: false, held: '1,1,1', bytes: [4096, 4096] };
  expect(await told('receivers')).toEqual({
    asked: [nothing, nothing],
    after: { held: '0,0,0', bytes: [0, 0] },
  });
});
