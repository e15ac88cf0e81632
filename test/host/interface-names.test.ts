/** One interface, whatever it is called by; and interfaces that are none to receive on. */
import { describe, expect } from 'vitest';

import { itWhere } from '../support/conditions.js';
import {
  childProgram,
  inNamespace,
  itInNamespace,
  namespaceCan,
  VETH,
} from '../support/namespace.js';

const LONG = `enp${'0s20f0u1u4u3c2'.repeat(8)}`.padEnd(127, 'x');

type Answers = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What each door says to each name. */
function byName(setup: readonly string[], ...names: string[]): Answers {
  return inNamespace([VETH, ...setup], childProgram('by-name'), ...names) as Answers;
}

const containing = (text: string): string => expect.stringContaining(text) as string;

describe('an interface', () => {
  itInNamespace('is the same by its own name, and by every other that it has', async () => {
    const names = ['v0', 'enp59s0f0np0', LONG];
    const [, ...others] = names.map((name) => `altname ${name}`);
    const answers = byName([`ip link property add dev v0 ${others.join(' ')}`], ...names);
    for (const name of names) {
      expect(answers[name], name).toEqual(answers.v0);
      expect(answers[name]).toMatchObject({
        plan: { interface: 'v0' },
        bind: { message: containing('v0 is a virtual interface (veth)') },
        doctor: { interface: 'v0' },
        client: { interface: 'v0', queues: [1] },
        broker: { interface: 'v0', queues: [1] },
        restore: [{ interface: 'v0', queues: [3], settings: [] }],
      });
    }
  });

  itInNamespace('is not what an ioctl takes for it: a name with a colon', async () => {
    // Which the kernel lets it have as an alternative name.
    const answers = byName(['ip link property add dev v0 altname v0:1'], 'v0:1')['v0:1']!;
    const { client, broker, ...doors } = answers;
    const refused = { code: 'ERR_INVALID_ARG_VALUE', message: containing('without a colon') };
    expect(Object.keys(doors)).toHaveLength(7);
    for (const [door, answer] of Object.entries(doors)) {
      expect(answer, door).toMatchObject(refused);
    }
    expect([client, broker]).toHaveLength(2);
  });

  itInNamespace('that is not there is missed at every door, in mode auto too', async () => {
    const answers = byName([], 'nope0').nope0!;
    const missed = { code: 'ENODEV', message: containing("no interface 'nope0'. In this") };
    for (const door of ['plan', 'prepare', 'bind', 'auto', 'restore']) {
      expect(answers[door], door).toMatchObject(missed);
    }
    expect(answers.doctor).toMatchObject({ title: "No interface 'nope0'" });
    expect(answers.client).toMatchObject({ code: 'ERR_DEVMEM_BROKER_REFUSED' });
  });
});

itInNamespace('an interface whose own name is no text is refused in words', async () => {
  const setup = [
    VETH,
    'ip link property add dev v0 altname good',
    `ip link set dev v0 name "$(printf 'x\\377\\376')"`,
  ];
  const script = `
    import { planInterface } from 'devmem-tcp';
    const { code, message } = await planInterface({ interface: 'good', queues: [1] }).catch((e) => e);
    console.log(JSON.stringify({ code, message }));
  `;
  expect(inNamespace(setup, '--input-type=module', '--eval', script)).toEqual({
    code: 'EILSEQ',
    message: containing(
      'has a name that is no UTF-8. Name it otherwise: ip link set dev good name',
    ),
  });
});

describe('an interface without a device is refused before the kernel is asked:', () => {
  const kinds = [
    ['loopback', 'lo', 'true', 'lo is a virtual interface, without'],
    ['veth', 'v0', 'true', 'v0 is a virtual interface (veth), without'],
    ['a bridge', 'x0', 'ip link add x0 type bridge; ip link set v0 master x0', '(bridge)'],
    ['a tap device', 'x0', 'ip tuntap add mode tap name x0', '(tun)'],
    ['a macvlan', 'x0', 'ip link add link v0 name x0 type macvlan', '(macvlan)'],
    ['a VLAN', 'x0', 'ip link add link v0 name x0 type vlan id 5', '(vlan)'],
    ['a bond', 'x0', 'ip link add x0 type bond; ip link set v0 master x0', '(bond)'],
    ['a dummy', 'x0', 'ip link add x0 type dummy', '(dummy)'],
  ] as const;
  for (const [what, name, setup, words] of kinds) {
    const can = namespaceCan(VETH, setup);
    itWhere(can, `'${setup}' fails here: the kernel's module for it enables this`)(
      what,
      async () => {
        const answers = byName([setup], name)[name]!;
        const why = containing(words);
        expect(answers).toMatchObject({
          plan: { interface: name, blocker: why },
          prepare: { code: 'ERR_DEVMEM_PLAN_BLOCKED', message: why },
          bind: { code: 'ENOTSUP', message: why },
          auto: { transport: 'copy', fallback: why },
          doctor: { interface: name, fix: 'Name a NIC; there is none below it.' },
        });
        expect((answers.bind as Error).message).not.toContain('kernel:');
      },
    );
  }
});
