import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { PlainServer } from '../support/peers.js';

describe('a process', () => {
  it.for(['ref', 'again'])('goes on while a socket that was %sed waits', async (how) => {
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const child = new Child('idle', [server.port, how]);
    const peer = await accepted;
    await child.printed('waiting');
    peer.end();
    expect(await child.outcome()).toMatchObject({
      status: 0,
      stdout: 'waiting\nended\nnothing left to do\n',
    });
  });

  it('ends although a socket that was unrefed waits', async () => {
    await using server = await PlainServer.listen();
    const child = new Child('idle', [server.port, 'unref']);
    expect(await child.outcome()).toMatchObject({
      status: 0,
      signal: null,
      stdout: 'waiting\nnothing left to do\n',
    });
  });

  it('ends although a server that was unrefed listens', async () => {
    expect(await new Child('idle', [0, 'server']).outcome()).toMatchObject({
      status: 0,
      signal: null,
      stdout: 'waiting\nnothing left to do\n',
    });
  });
});
