/** Every program of README, docs and docstrings compiles and runs as it stands, on a machine without a NIC. */
import { writeFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { type Block, blocks, findBlock } from '../support/docs/blocks.js';
import { DocumentsMachine } from '../support/docs/machine.js';
import { callsOf, compile } from '../support/docs/programs.js';
import { expectReceives, FIRST_PRINTS, SERVER_PRINTS } from '../support/docs/receiving.js';
import { run } from '../package/support/run.js';
import { Folder } from '../support/unix.js';

/** A block, found by some words of it. */
interface Program {
  document: string;
  words: string;
  /** What it takes for granted, and what shows that it did what it should. */
  before?: string;
  after?: string;
  /** The error that ends it where the machine lacks what it is about. */
  mayLack?: string;
}

const SOCKET = `
  import { consume, consumeBytes, expectAllConsumed, openSocket } from './surroundings.mjs';
  const socket = await openSocket();`;
/** A connection with such bytes, and the stream's end. */
const socketOf = (bytes: string): string => `
  import { DmaBuf } from 'devmem-tcp';
  import { consume, consumeBytes, expectUsed, openSocket } from './surroundings.mjs';
  const socket = await openSocket(${bytes});
  void [DmaBuf, consume, consumeBytes, expectUsed];`;
const MEMORY = `
  import { bindRx, DmaBuf } from 'devmem-tcp';
  await using memory = await DmaBuf.allocate({ size: 2 ** 20 });`;

/** Programs that run to their end. The others serve until they are told to end. */
const PROGRAMS: Program[] = [
  {
    document: 'README.md',
    words: 'await using prepared = await prepareInterface({',
    mayLack: 'ERR_DEVMEM_PLAN_BLOCKED',
  },
  {
    document: 'docs/sockets.md',
    words: 'batch.forEach(\n',
    before: SOCKET,
    after: 'expectAllConsumed();',
  },
  {
    document: 'docs/sockets.md',
    words: 'consume(frag.memory, frag.offset, frag.size);',
    before: SOCKET,
    after: 'expectAllConsumed();',
  },
  {
    document: 'docs/sockets.md',
    words: 'server.addBinding(await bindRx(',
    before: `
      import { bindRx, DmaBuf } from 'devmem-tcp';
      import { openServer } from './surroundings.mjs';
      const { server, binding } = await openServer();
      await using freshMemory = await DmaBuf.allocate({ size: 2 ** 20 });`,
    // Only the devmem path has bindings to add.
    mayLack: 'ERR_INVALID_ARG_VALUE',
  },
  {
    document: 'docs/errors.md',
    words: 'error instanceof DevmemError',
    before: `
      import { DmaBuf } from 'devmem-tcp';
      await using memory = await DmaBuf.allocate({ size: 2 ** 20 });`,
  },
  {
    document: 'docs/guide.md',
    words: 'await probeMemory()',
  },
  {
    document: 'docs/broker.md',
    words: "broker: '/run/devmem-tcp/broker',",
    before: MEMORY,
    after: 'await binding.close();',
  },
  {
    document: 'docs/broker.md',
    words: 'await using memory = await receiveFd(socket);',
    before: `
      import net from 'node:net';
      import { receiveFd } from 'devmem-tcp';
      import { handMemoryTo } from './surroundings.mjs';`,
    after: 'await handMemoryTo(server);',
  },
  {
    document: 'docs/hand-off.md',
    words: 'await handOff(consumer, memory,',
    // One before it was killed, and left its socket.
    before: `
      import { writeFileSync } from 'node:fs';
      import { consumeFrom } from './surroundings.mjs';
      writeFileSync('/tmp/tensors.sock', '');`,
    after: 'await consumeFrom(server);',
  },
  {
    document: 'docs/reading.md',
    words: 'new Float32Array(65536)',
    before: socketOf('Buffer.from(new Float32Array(65536).fill(2.5).buffer)'),
    after:
      "if (bytes !== 262_144 || tensor[65535] !== 2.5) throw new Error('other bytes'); await socket.close();",
  },
  {
    document: 'docs/reading.md',
    words: 'const weights =',
    before: socketOf('Buffer.concat([Buffer.alloc(300_000, 1), Buffer.alloc(200_000, 2)])'),
    after: `
      const seen = [0, 299_999, 300_000, 524_288, 724_287].map((at) => weights.read(at, 1)[0]);
      if (seen.join() !== '1,1,0,2,2') throw new Error(seen.join());
      await socket.close();`,
  },
  {
    document: 'docs/reading.md',
    words: 'reader.take(100_000)',
    before: socketOf('Buffer.alloc(100_000)'),
    after: 'expectUsed(100_000); await socket.close();',
  },
  {
    document: 'docs/reading.md',
    words: 'reader.peek(1)',
    before: socketOf("Buffer.from([1, 2, 3, 4, 0, 0, 0, 5, ...Buffer.from('hello')])"),
    after:
      'if (reader.position !== 13) throw new Error(String(reader.position)); await socket.close();',
  },
  {
    document: 'docs/reading.md',
    words: 'reader.readUntil(',
    before: socketOf("Buffer.from('HTTP/1.1 200 OK\\r\\n\\r\\nbody')"),
    after:
      'if (reader.position !== 19) throw new Error(String(reader.position)); await socket.close();',
  },
  {
    document: 'docs/reading.md',
    words: 'reader.records({',
    before: socketOf('Buffer.from([0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0, 0, 0, 1, 7])'),
    after: 'expectUsed(3);',
  },
  { document: 'docs/memory.md', words: "type: 'dma-heap'", mayLack: 'ENOENT' },
  {
    document: 'docs/memory.md',
    words: "type: 'cuda'",
    before: `
      import { bindRx, DmaBuf } from 'devmem-tcp';
      import { openSocket } from './surroundings.mjs';
      const socket = await openSocket();
      const launch = (address: bigint, size: number) => void [address, size];
      const upload = (bytes: Uint8Array) => void bytes;
      const done = async () => {};`,
    mayLack: 'ERR_DEVMEM_CUDA',
  },
  {
    document: 'docs/memory.md',
    words: 'DmaBuf.import({ fd, size })',
    before: `
      import { DmaBuf } from 'devmem-tcp';
      const size = 2 ** 20;
      await using exported = await DmaBuf.allocate({ type: 'host', size });
      const { fd } = exported;`,
  },
  {
    document: 'docs/memory.md',
    words: 'workerData: memory.fd',
  },
  {
    document: 'docs/zcrx.md',
    words: "transport: 'zcrx'",
    after: 'await binding.close(); await memory.close();',
  },
  {
    document: 'docs/nic.md',
    words: 'await using prepared = await prepareInterface({',
    mayLack: 'ERR_DEVMEM_PLAN_BLOCKED',
  },
  {
    document: 'docs/cli.md',
    words: 'await serveDiagnostics({ path:',
    after: 'await diagnostics.close();',
  },
  {
    document: 'src/ts/diagnostics/server.ts',
    words: 'await serveDiagnostics({ path:',
    before: "import { serveDiagnostics } from 'devmem-tcp';",
    after: 'void diagnostics;',
  },
  {
    document: 'src/ts/net/server.ts',
    words: 'createServer({ binding }',
    before: `
      import { once } from 'node:events';
      import { bindCopy, consume as use, consumeBytes } from './surroundings.mjs';
      import { createBriefServer as createServer, expectAllConsumed } from './surroundings.mjs';
      const consume = (offset: number, size: number) => use(offset, size);
      const binding = await bindCopy();`,
    after: 'expectAllConsumed();',
  },
];

const FIRST = findBlock('README.md', 'net.connect(');
const SERVER = findBlock('docs/guide.md', "once(server, 'close')");
const COMMON_JS = findBlock('docs/sockets.md', "require('devmem-tcp')");

const name = ({ document, words }: Program): string =>
  `${document}: ${words.trim()}`.replaceAll(/\W+/g, '-');

it('every program of the documents is among these', () => {
  const known: Block[] = PROGRAMS.map(({ document, words }) => findBlock(document, words));
  expect([...known, FIRST, SERVER, COMMON_JS].map(({ text: each }) => each).sort()).toEqual(
    blocks('ts', 'js')
      .map(({ text: each }) => each)
      .sort(),
  );
});

it('every JSON document in the documents is one', () => {
  for (const each of blocks('json')) expect(() => void JSON.parse(each.text)).not.toThrow();
});

it('no program of the documents leaves linear bytes to nobody', () => {
  const calls = blocks('ts', 'js').flatMap(({ text }) => callsOf('batch.forEach', text));
  expect(calls.length).toBeGreaterThan(2);
  expect(calls.filter(({ count }) => count !== 2)).toEqual([]);
});

const asRoot = itWhere(process.getuid?.() === 0, 'needs root: run the tests as root');

describe('a program of the documents', () => {
  let folder: Folder;
  let machine: DocumentsMachine | undefined;

  beforeAll(async () => {
    folder = new Folder();
    const sources = PROGRAMS.map((program): [string, string] => {
      const { document, words, before = '', after = '' } = program;
      return [name(program), `${before}\n${findBlock(document, words).text}\n${after}\n`];
    });
    compile(folder.path, new Map([...sources, ['server', SERVER.text]]));
    writeFileSync(folder.file('first.mjs'), FIRST.text);
    writeFileSync(folder.file('common-js.cjs'), COMMON_JS.text);
    if (process.getuid?.() === 0) machine = await DocumentsMachine.start();
  });

  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  for (const program of PROGRAMS) {
    asRoot(`runs: ${program.document}, ${program.words.trim()}`, async () => {
      const script = folder.file(`${name(program)}.mjs`);
      const { status, stdout, stderr } = await machine!.run(process.execPath, script);
      if (status === 0) return;
      expect(stderr, stdout).toContain(`code: '${program.mayLack ?? 'none'}'`);
    });
  }

  const serve = (script: string, words: RegExp): Promise<void> =>
    expectReceives(machine!, [process.execPath, folder.file(script)], words);

  it("the README's first one runs as it stands, and prints what the README says", async () => {
    const { status, stdout, stderr } = await run(process.execPath, [folder.file('first.mjs')], {
      cwd: folder.path,
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: FIRST_PRINTS, stderr: '' });
  });

  asRoot("the guide's server receives what is sent to it", () =>
    serve('server.mjs', SERVER_PRINTS),
  );

  asRoot('so does the one in CommonJS, without using', () =>
    serve('common-js.cjs', /^device \d+\n/m),
  );
});
