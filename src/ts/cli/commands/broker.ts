/** `devmem-tcp broker`: binds queues for processes without CAP_NET_ADMIN. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

import type { Allowance } from '../../nic/broker/policy.js';
import type { InheritedSocket } from '../../nic/broker/options.js';
import { type Broker, startBroker } from '../../nic/broker/server.js';
import type { BrokerClient } from '../../nic/broker/session.js';
import { printable } from '../../nic/quoting.js';
import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { Interrupted, Interruption } from '../interruption.js';
import { stdout } from '../output.js';
import { parseCount, parseInterface, parseQueues } from '../values.js';

const HELP = `Binds receive queues for processes that lack the privilege to do so themselves.

  devmem-tcp broker --socket PATH --allow IF[:QUEUES]… [OPTION]…

  --socket PATH          where to listen; a dead broker's socket is replaced
  --socket-activation    listen at the socket that systemd made, in its place
  --allow IF[:QUEUES]    an interface, and those of its rx queues that may be
                         bound, e.g. eth1:2,3 or eth1:8-15; without queues: all.
                         Repeatable
  --mode OCTAL           permissions of the socket: who may write to it may
                         connect (default 0660)
  --group NAME|GID       its group (default: this process's)
  --allow-uid UID        serve this user. Repeatable; without it and without
                         --allow-gid, whoever may connect
  --allow-gid GID        serve processes with this primary group. Repeatable
  --max-clients N        clients at a time (default 64)
  --max-clients-per-user N
                         clients of one user at a time (default: half of them)

A client's binding lasts as long as its connection. The broker runs until Ctrl-C
or another signal ends it, and needs CAP_NET_ADMIN in the network namespace of
the interfaces.
Clients: recv --broker PATH and bindRx({ broker: PATH, … }); for other languages
see docs/broker.md.
`;

const OPTIONS = {
  socket: { type: 'string' },
  'socket-activation': { type: 'boolean' },
  allow: { type: 'string', multiple: true },
  mode: { type: 'string' },
  group: { type: 'string' },
  'allow-uid': { type: 'string', multiple: true },
  'allow-gid': { type: 'string', multiple: true },
  'max-clients': { type: 'string' },
  'max-clients-per-user': { type: 'string' },
} as const;

export const command: Command = {
  summary: 'bind queues for processes without CAP_NET_ADMIN',
  help: HELP,
  run,
};

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, OPTIONS);
  if (positionals.length > 0) throw new UsageError(`'${positionals[0]}' is no option`);
  const { allow, mode, group } = values;
  const socket = chooseSocket(values.socket, values['socket-activation'] === true);
  if (allow === undefined) {
    throw new UsageError('--allow says which queues may be bound, and is missing');
  }
  using interruption = new Interruption();
  const broker = await startBroker({
    socket,
    allow: allow.map(parseAllowance),
    ...(mode !== undefined && { mode: parseMode(mode) }),
    ...(group !== undefined && { group: await parseGroup(group) }),
    ...ids('allowUids', '--allow-uid', values['allow-uid']),
    ...ids('allowGids', '--allow-gid', values['allow-gid']),
    ...clients('maxClients', '--max-clients', values['max-clients']),
    ...clients('maxClientsPerUser', '--max-clients-per-user', values['max-clients-per-user']),
  });
  report(broker);
  if (!(await hasNetAdmin())) log('warning: without CAP_NET_ADMIN every binding will be refused');
  log(`listening on ${broker.socket}`);
  const { signal } = interruption;
  if (!signal.aborted) await once(signal, 'abort');
  if (signal.reason instanceof Interrupted) log(`${signal.reason.by}: unbinding everything`);
  await broker.close();
  return STATUS.ok;
}

function chooseSocket(path: string | undefined, activated: boolean): string | InheritedSocket {
  if (path !== undefined && activated) {
    throw new UsageError('--socket and --socket-activation exclude each other');
  }
  if (activated) return { fd: activatedSocket(process.env, process.pid) };
  if (path !== undefined) return path;
  throw new UsageError('--socket says where to listen, and is missing');
}

// sd_listen_fds(3)
const LISTEN_FDS_START = 3;

/**
 * The descriptor that systemd hands to the process that it starts.
 *
 * @param env - loses what told so: it is not for processes that this one starts
 */
export function activatedSocket(env: NodeJS.ProcessEnv, pid: number): number {
  const { LISTEN_PID: whom, LISTEN_FDS: count } = env;
  delete env.LISTEN_PID;
  delete env.LISTEN_FDS;
  delete env.LISTEN_FDNAMES;
  const why = (reason: string): UsageError => new UsageError(`--socket-activation: ${reason}`);
  if (whom === undefined || count === undefined) {
    throw why('LISTEN_PID and LISTEN_FDS are missing: a .socket unit of systemd sets them');
  }
  if (whom !== String(pid)) {
    throw why(
      `the socket is for process ${whom}, and this is ${pid}: have ExecStart= run devmem-tcp itself, not a shell or npx`,
    );
  }
  if (count === '1') return LISTEN_FDS_START;
  throw why(`there are ${count} sockets, and a broker has one: give it a .socket unit of its own`);
}

function report(broker: Broker): void {
  const told = ({ interface: name, queues, bindingId, peer }: BrokerClient): string =>
    `${printable(name)} queues ${queues.join(',')}, binding ${bindingId}, for user ${peer.uid}, process ${peer.pid}`;
  broker.on('bound', (client) => {
    log(`bound ${told(client)}`);
  });
  broker.on('unbound', (client) => {
    log(`unbound ${told(client)}`);
  });
  broker.on('refused', (error, peer) => {
    // What a client sent is quoted in it.
    const reason = JSON.stringify(error.message).slice(1, -1);
    const whom = peer === undefined ? 'a client' : `user ${peer.uid}, process ${peer.pid}`;
    log(`refused ${whom}: ${reason}`);
  });
}

function log(what: string): void {
  stdout.write(`broker: ${what}\n`);
}

/** `eth1`, `eth1:2,3`, `eth1:2-5,8`. A colon is never an interface's: queues follow. */
export function parseAllowance(text: string): Allowance {
  const [first = '', list] = text.split(/:(.*)/s, 2);
  if (first === '') throw new UsageError(`--allow '${text}' names no interface`);
  const name = parseInterface(`what --allow '${text}' names`, first);
  if (list === undefined) return { interface: name };
  return { interface: name, queues: parseQueues(`the list of --allow '${text}'`, list) };
}

function parseMode(text: string): number {
  if (!/^[0-7]{1,4}$/.test(text)) {
    throw new UsageError(`--mode takes permissions in octal, like 0660, and '${text}' is not`);
  }
  return Number.parseInt(text, 8);
}

const MAX_CLIENTS = 10_000;

function clients<Key extends string>(
  key: Key,
  option: string,
  text: string | undefined,
): Partial<Record<Key, number>> {
  if (text === undefined) return {};
  return { [key]: parseCount(option, text, 1, MAX_CLIENTS) } as Record<Key, number>;
}

const MAX_ID = 2 ** 32 - 2;

function ids<Key extends string>(
  key: Key,
  option: string,
  texts: string[] | undefined,
): Partial<Record<Key, number[]>> {
  if (texts === undefined) return {};
  const numbers = texts.map((text) => parseCount(option, text, 0, MAX_ID));
  return { [key]: numbers } as Record<Key, number[]>;
}

async function parseGroup(text: string): Promise<number> {
  if (/^\d+$/.test(text)) return parseCount('--group', text, 0, MAX_ID);
  const lines = (await readFile('/etc/group', 'utf8').catch(() => '')).split('\n');
  const fields = lines.map((line) => line.split(':')).find(([name]) => name === text);
  if (fields !== undefined) return Number(fields[2]);
  throw new UsageError(`--group: there is no group '${text}' in /etc/group; give its number`);
}

const CAP_NET_ADMIN = 12n;

async function hasNetAdmin(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective === undefined || ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}
