/** Every command of README and docs is one that its program takes, on a machine without a NIC. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { blocks } from '../support/docs/blocks.js';
import { commandsOf } from '../support/docs/commands.js';
import { DocumentsMachine } from '../support/docs/machine.js';

const isRoot = process.getuid?.() === 0;
const asRoot = itWhere(isRoot, 'needs root: run the tests as root');

/** Commands that go on until they are told to end, and say when they are ready. */
const SERVES = /^(npx )?devmem-tcp (recv|broker) /;

/** Exit statuses of a shell and of this package that mean: this is no way to say it. */
const NONSENSE = [2, 64, 126, 127];

it('commands are told apart', () => {
  const text = "one # with words\n# none\ntwo 'of\nits lines'\n";
  const commands = commandsOf({ document: '', language: 'sh', text });
  expect(commands).toEqual(['one # with words', "two 'of\nits lines'"]);
});

describe('a block of commands', () => {
  let machine: DocumentsMachine | undefined;

  beforeAll(async () => {
    if (isRoot) machine = await DocumentsMachine.start();
  });

  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]();
  });

  /** Starts a command; its exit status, what it has printed, and when it is ready or has ended. */
  function start(command: string) {
    const [program, ...args] = [...machine!.prefix, 'sh', '-c', command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let printed = '';
    const status = once(child, 'close').then(([code]) => code as number | null);
    const ready = new Promise<void>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (piece) => {
          printed += String(piece);
          if (printed.includes('listening on')) resolve();
        });
      }
      void status.then(() => resolve());
    });
    return { child, command, status, ready, printed: () => printed };
  }

  async function expectTaken({ command, status, printed }: ReturnType<typeof start>) {
    const code = await status;
    const said = { command, code, printed: printed() };
    expect(NONSENSE.includes(code ?? -1) ? said : 'it makes sense', command).toBe('it makes sense');
  }

  for (const block of blocks('sh')) {
    const [first = ''] = commandsOf(block);
    asRoot(`${block.document}: ${first.replace(/\s+#.*/, '')} …`, async () => {
      const serving: ReturnType<typeof start>[] = [];
      for (const command of commandsOf(block)) {
        const serves = SERVES.test(command);
        // So that signals reach it; it is left running in any case.
        const started = start(serves ? `exec ${command.replace(/&$/, '')}` : command);
        onTestFinished(() => void started.child.kill('SIGKILL'));
        if (serves) {
          await started.ready;
          serving.push(started);
        } else {
          await expectTaken(started);
        }
      }
      for (const started of serving) {
        started.child.kill('SIGTERM');
        await expectTaken(started);
      }
    });
  }
});
