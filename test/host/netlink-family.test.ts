/** What a kernel without the feature says: it has no such generic netlink family. */
import { expect, it } from 'vitest';

import { GenericNetlink } from '../../dist/nic/netlink/generic.js';
import { expectNoLeaks } from '../support/leaks.js';

expectNoLeaks();

it('a family that this kernel lacks is named, with what would bring it', async () => {
  const hint = 'It needs another kernel';
  const opened = GenericNetlink.open('nosuchfamily', hint);
  await expect(opened).rejects.toMatchObject({
    code: 'ENOENT',
    errno: -2,
    syscall: 'netlink',
    hint,
  });
  await expect(opened).rejects.toThrow(/'nosuchfamily'.*It needs another kernel/);
});

it('a family that it has tells its commands', async () => {
  // The control family is in every kernel with generic netlink.
  using control = await GenericNetlink.open('nlctrl');
  const CTRL_CMD_GETFAMILY = 3;
  expect(control.commands.has(CTRL_CMD_GETFAMILY)).toBe(true);
});
