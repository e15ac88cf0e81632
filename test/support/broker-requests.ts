/** What is said to a broker byte by byte, past its client. */
import { expect } from 'vitest';

import { readMessage } from '../../dist/ipc/message.js';
import { UnixSocket } from '../../dist/ipc/unix-socket.js';
import type { OwnedFd } from '../../dist/native.js';
import { memfd } from './memfd.js';
import { close } from './peers.js';
import { connectUnix } from './unix.js';

/** A connection that has sent bytes, with so many descriptors. */
export async function sendRequest(
  socket: string,
  bytes: Uint8Array,
  fds: number,
): Promise<UnixSocket> {
  const unix = UnixSocket.of(await connectUnix(socket));
  unix.takeOver();
  const files = Array.from({ length: fds }, () => memfd());
  // The broker may hang up before it has read all.
  const numbers = files.map((file) => file.fd);
  await unix.write(bytes, numbers).catch(() => {});
  for (const file of files) file.close();
  return unix;
}

/** What the broker answers; undefined where it hangs up without a word. */
export async function answerOf(unix: UnixSocket): Promise<string | undefined> {
  const fds: OwnedFd[] = [];
  const content = await readMessage(unix, fds, { maxBytes: 64 * 1024, maxFds: 0 });
  if (content === undefined) return undefined;
  expect(fds).toEqual([]);
  return (content.error as { message: string }).message;
}

/** What it answers to a request, with so many descriptors. */
export async function answerToRequest(
  socket: string,
  bytes: Uint8Array,
  fds = 0,
): Promise<string | undefined> {
  const unix = await sendRequest(socket, bytes, fds);
  const answer = await answerOf(unix);
  await hungUp(unix);
  return answer;
}

/** Waits until the broker has closed the connection. */
export async function hungUp(unix: UnixSocket): Promise<void> {
  const end = await unix.read(Buffer.alloc(1)).catch(() => ({ bytes: 0 }));
  expect(end.bytes).toBe(0);
  await close(unix.socket);
}
