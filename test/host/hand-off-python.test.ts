/** handOff() to processes in plain Python, which say when they are done. */
import { existsSync } from 'node:fs';

import { DmaBuf, handOff } from 'devmem-tcp';
import { describe, expect } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { blocks } from '../support/docs/blocks.js';
import { expectNoLeaks } from '../support/leaks.js';
import { hasPython, NO_PYTHON, runPython } from '../support/python.js';
import { rejectionOf } from '../support/thrown.js';
import { unixPair } from '../support/unix.js';

const SIZE = 256 * 1024;
const BAD = { name: 'DevmemError', code: 'ERR_DEVMEM_BAD_MESSAGE' };
const LOST = { name: 'DevmemError', code: 'ERR_DEVMEM_CONSUMER_LOST' };

const itPython = itWhere(hasPython, NO_PYTHON);

const allocate = (): Promise<DmaBuf> => DmaBuf.allocate({ type: 'host', size: SIZE });

// Maps what it is handed, and checks it.
const MAPPED = `
import zlib
def tensor():
    content, (fd,) = hear()
    view = mmap.mmap(fd, content['size'])
    os.close(fd)
    part = memoryview(view)[content['offset']:content['offset'] + content['length']]
    return content, part

def done(content): say({'type': 'done', 'id': content['id']})
`;

describe('a consumer in Python', () => {
  expectNoLeaks();

  const types: (readonly ['memfd' | 'dma-buf', 'host' | 'udmabuf', typeof itPython])[] = [
    ['memfd', 'host', itPython],
    [
      'dma-buf',
      'udmabuf',
      itWhere(
        hasPython && existsSync('/dev/udmabuf'),
        "no /dev/udmabuf, or no python3: 'modprobe udmabuf' enables this",
      ),
    ],
  ];

  for (const [type, memoryType, itHere] of types) {
    itHere(`has the very memory, and is waited for: ${type}`, async () => {
      await using pair = await unixPair();
      await using memory = await DmaBuf.allocate({ type: memoryType, size: SIZE });
      const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7) % 251));
      memory.write(8192, bytes);
      const program = `${MAPPED}
content, part = tensor()
said = {key: content[key] for key in ('type', 'size', 'offset', 'length', 'dtype', 'shape')}
print(json.dumps([said, zlib.crc32(part), sum(part)]))
part[0:4] = b'back'
done(content)
`;
      const ended = runPython(program, pair.client);
      const options = { offset: 8192, dtype: 'float32', shape: [32, 32] } as const;
      await handOff(pair.accepted, memory, options);
      // It has written before it said that it was done.
      expect(memory.read(8192, 4).toString()).toBe('back');
      const { status, output } = await ended;
      expect(status).toBe(0);
      const [said, , sum] = JSON.parse(output) as [unknown, number, number];
      expect(said).toEqual({ type, size: SIZE, length: 4096, ...options });
      expect(sum).toBe(bytes.reduce((all, each) => all + each));
    });
  }

  itPython('gets one tensor after the other, and acknowledges them in any order', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const program = `${MAPPED}
all = [tensor() for _ in range(5)]
print([content['offset'] for content, _ in all])
for content, part in reversed(all):
    part[0] = 100 + content['offset'] // 4096
    done(content)
`;
    const ended = runPython(program, pair.client);
    const order: number[] = [];
    const offsets = [0, 1, 2, 3, 4].map((page) => page * 4096);
    await Promise.all(
      offsets.map(async (offset, i) => {
        await handOff(pair.accepted, memory, { offset, length: 4096 });
        order.push(i);
      }),
    );
    expect(order).toEqual([4, 3, 2, 1, 0]);
    expect(offsets.map((offset) => memory.read(offset, 1)[0])).toEqual([100, 101, 102, 103, 104]);
    expect(await ended).toMatchObject({ status: 0, output: `[${offsets.join(', ')}]\n` });
  });

  const deaths = {
    'is killed in the midst of it': 'os.kill(os.getpid(), 9)',
    'ends without a word': '',
    'ends having said half a word': "connection.sendall(b'\\0\\0')",
  };

  for (const [how, last] of Object.entries(deaths)) {
    itPython(`is told of where it ${how}`, async () => {
      await using pair = await unixPair();
      await using memory = await allocate();
      const ended = runPython(`${MAPPED}\ncontent, part = tensor()\n${last}\n`, pair.client);
      const error = await rejectionOf(handOff(pair.accepted, memory));
      await ended;
      expect(error).toMatchObject(last.includes('sendall') ? BAD : LOST);
      // So is whoever goes on handing it things.
      expect(await rejectionOf(handOff(pair.accepted, memory))).toBe(error);
    });
  }

  itPython('is told of where it ends unasked, before it has read anything', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const waiting = rejectionOf(handOff(pair.accepted, memory));
    await runPython('', pair.client);
    // It left a message unread: the kernel resets.
    expect(await waiting).toMatchObject(LOST);
  });

  itPython('that acknowledges twice is not believed the next time', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const program = `${MAPPED}
content, part = tensor()
done(content)
done(content)
tensor()
connection.recv(1)
`;
    const ended = runPython(program, pair.client);
    await handOff(pair.accepted, memory);
    const error = await rejectionOf(handOff(pair.accepted, memory));
    expect(error).toMatchObject(BAD);
    expect(error.message).toContain('acknowledges the hand-off 1');
    pair.accepted.destroy();
    await ended;
  });
});

itPython('the consumer of the documents is one', async () => {
  await using pair = await unixPair();
  await using memory = await allocate();
  memory.map().fill(1, 4096, 4096 + 32 * 1024);
  const [block] = blocks('python').filter(({ document }) => document === 'docs/hand-off.md');
  const connecting = /^consumer = .*\nconsumer\.connect.*$/m;
  expect(block!.text).toMatch(connecting);
  const program = block!.text.replace(connecting, 'consumer = connection');
  const ended = runPython(program, pair.client);
  const options = { offset: 4096, dtype: 'float32', shape: [128, 64] } as const;
  await handOff(pair.accepted, memory, options);
  await handOff(pair.accepted, memory, { length: 4096 });
  pair.accepted.end();
  const output = 'float32 [128, 64] 32768\nuint8 [4096] 0\n';
  expect(await ended).toMatchObject({ status: 0, output });
});
