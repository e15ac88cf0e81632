/** A broker at a socket that listens already, as systemd's socket activation hands it over. */
import { once } from 'node:events';
import { lstatSync, openSync, closeSync } from 'node:fs';
import net from 'node:net';

import { startBroker } from 'devmem-tcp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { activatedSocket } from '../../dist/cli/commands/broker.js';
import { encodeMessage } from '../../dist/ipc/message.js';
import { native, type OwnedFd } from '../../dist/native.js';
import { BrokerProcess } from '../support/broker.js';
import { answerOf, answerToRequest, sendRequest } from '../support/broker-requests.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { connectUnix, Folder } from '../support/unix.js';

const REQUEST = encodeMessage({
  ...{ version: 1, command: 'bind-rx', interface: 'lo', queues: [1], size: 2 ** 20 },
});
const OURS = 'LISTEN_PID=$$ LISTEN_FDS=1';

let folder: Folder;
let path: string;
/** What systemd has. */
let listening: OwnedFd;

beforeEach(() => {
  folder = new Folder();
  path = folder.file('activated');
  listening = native().bindUnix(path) as OwnedFd;
  native().listenUnix(listening.fd, 16);
});

afterEach(() => {
  listening.close();
  folder[Symbol.dispose]();
});

describe('an activated broker', () => {
  it('serves who waits, and leaves the socket to its maker at its end', async () => {
    const before = lstatSync(path).ino;
    const early = await sendRequest(path, REQUEST, 1);
    const broker = await BrokerProcess.activated(listening.fd, OURS, '--allow', 'lo:0');
    expect(broker.output).toContain(`listening on ${path}`);
    expect(await answerOf(early)).toContain('does not give out');
    expect(await broker.end('SIGTERM')).toEqual([0, null]);
    expect(lstatSync(path).ino).toBe(before);
    // Its next life serves those that came in between.
    const between = await sendRequest(path, REQUEST, 1);
    await using next = await BrokerProcess.activated(listening.fd, OURS, '--allow', 'lo:0');
    expect(await answerOf(between)).toContain('does not give out');
    expect(next.output).not.toContain('warning: LISTEN');
  });

  it.for([
    ['', 'LISTEN_PID and LISTEN_FDS are missing'],
    ['LISTEN_PID=1 LISTEN_FDS=1', 'is for process 1'],
    ['LISTEN_PID=$$ LISTEN_FDS=2', 'there are 2 sockets'],
    ['LISTEN_PID=$$ LISTEN_FDS=0', 'there are 0 sockets'],
  ])('does not start with %j, and says why', async ([environment, why]) => {
    const { status, output } = await BrokerProcess.failActivated(
      listening.fd,
      environment!,
      ...['--allow', 'lo'],
    );
    expect(status).toBe(64);
    expect(output).toContain(why);
  });

  it('is told that a socket of another kind is none', async () => {
    const file = openSync('/dev/null', 'r');
    const { status, output } = await BrokerProcess.failActivated(file, OURS, '--allow', 'lo');
    closeSync(file);
    expect(status).toBe(1);
    expect(output).toContain('a Unix-domain stream socket that listens');
  });

  it('has its socket from systemd or by its path, not both', async () => {
    const both = ['--socket', path, '--socket-activation', '--allow', 'lo'];
    const { status, output } = await BrokerProcess.fail(...both);
    expect(status).toBe(64);
    expect(output).toContain('exclude each other');
  });
});

describe('what tells of activation', () => {
  it('is not left to the processes that a broker starts', () => {
    const env = { LISTEN_PID: '42', LISTEN_FDS: '1', LISTEN_FDNAMES: 'broker', HOME: '/' };
    expect(activatedSocket(env, 42)).toBe(3);
    expect(env).toEqual({ HOME: '/' });
  });

  it('is an error where it is for another process', () => {
    const env = { LISTEN_PID: '42', LISTEN_FDS: '1' };
    expect(thrownBy(() => activatedSocket(env, 43)).message).toContain(
      'process 42, and this is 43',
    );
  });
});

describe('startBroker({ socket: { fd } })', () => {
  it('takes a duplicate: closing it closes nothing of the caller', async () => {
    const allow = [{ interface: 'lo', queues: [0] }];
    const broker = await startBroker({ socket: { fd: listening.fd }, allow });
    expect(broker.socket).toBe(path);
    expect(await answerToRequest(path, REQUEST, 1)).toContain('does not give out');
    await broker.close();
    await using again = await startBroker({ socket: { fd: listening.fd }, allow });
    expect(await answerToRequest(again.socket, REQUEST, 1)).toContain('does not give out');
  });

  it('refuses what does not listen, what is no stream, and what is no Unix-domain socket', async () => {
    const bound = native().bindUnix(folder.file('bound')) as OwnedFd;
    const tcp = net.createServer().listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const client = await connectUnix(path);
    const handles = [tcp, client] as unknown as { _handle: { fd: number } }[];
    for (const fd of [bound.fd, ...handles.map((each) => each._handle.fd), 2 ** 31 - 1]) {
      const error = await rejectionOf(
        startBroker({ socket: { fd }, allow: [{ interface: 'lo' }] }),
      );
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain('a Unix-domain stream socket that listens');
    }
    client.destroy();
    tcp.close();
    bound.close();
  });
});
